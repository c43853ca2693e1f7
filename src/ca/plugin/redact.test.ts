import { expect, it } from 'vitest';
import { createRedactor } from './redact.ts';

const KEY = [
  '-----BEGIN PRIVATE KEY-----',
  'MIGHAgEAMBMGByqGSM49',
  'AgEGCCqGSM49AwEHBG0w',
  '-----END PRIVATE KEY-----',
  '',
].join('\n');

it('takes out secrets, line by line too, and any private key', () => {
  const redactor = createRedactor();
  redactor.add(['hunter2-hunter2\n', KEY, 'short']);
  const hide = (text: string) => redactor.clean(text, 200);
  expect(hide('the token is hunter2-hunter2, twice: hunter2-hunter2')).toBe('the token is ***, twice: ***');
  expect(hide(JSON.stringify({ key: KEY }))).not.toMatch(/MIGH|AgEG/);
  expect(hide('it says MIGHAgEAMBMGByqGSM49.')).toBe('it says ***.');
  expect(createRedactor().clean(`other ${KEY} end`, 200)).toBe('other *** | end');
  expect(hide('shortly')).toBe('shortly');
});

it('cuts after that, and makes one line', () => {
  const redactor = createRedactor();
  redactor.add(['0123456789']);
  expect(redactor.clean('ab\ncd 0123456789', 10)).toBe('ab | cd ***');
  expect(redactor.clean(`${'x'.repeat(95)}0123456789`, 100)).toBe(`${'x'.repeat(95)}***`);
  expect(redactor.clean('x'.repeat(200), 100)).toBe(`${'x'.repeat(100)}…`);
});
