import { describe, expect, it } from 'vitest';
import { rotationLine, rotationText, wrapText } from './rotation.ts';

const count = (renewed: number) => ({ proxies: 2, connected: 2, offline: 0, trusting: 2, renewed });
const rotation = {
  mesh: 'shop',
  kind: 'switch',
  from: 'ca-1',
  to: 'vault',
  phase: 'Issuing',
  phaseSince: '2026-01-01T00:00:00Z',
  message: 'waits for 1 connected proxy to get a certificate of the new CA',
  waitingFor: ['web-2'],
  fix: 'vault operator unseal',
  progress: {
    total: { ...count(3), proxies: 4, connected: 4 },
    services: [
      { service: 'api', ...count(2) },
      { service: 'web', ...count(1) },
    ],
  },
};

describe('a rotation on the screen', () => {
  it('has a line for each service, what it waits for, and the remedy', () => {
    expect(rotationText(rotation, Date.parse('2026-01-01T00:00:03Z'))).toBe(
      [
        'mesh shop, ca-1 -> vault: Issuing, for 3s',
        '',
        'SERVICE   PROXIES   CONNECTED   OFFLINE   TRUST IT   HAVE IT',
        'api       2         2           0         2          2',
        'web       2         2           0         2          1',
        'all       4         4           0         2          3',
        '',
        'waits for 1 connected proxy to get a certificate of the new CA (web-2)',
        '',
        'vault operator unseal',
        '',
      ].join('\n'),
    );
  });

  it('is one line elsewhere', () => {
    expect(rotationLine({ ...rotation, kind: 'renew' })).toBe(
      'mesh shop, new CA of vault: Issuing: of 4 connected proxies 2 trust it and 3 have it; waits for 1 connected proxy to get a certificate of the new CA',
    );
  });

  it('breaks long lines between words, and leaves the others', () => {
    expect(wrapText('one two three\nfour\n', 8)).toBe('one two\nthree\nfour\n');
    expect(wrapText('averylongword and more', 8)).toBe('averylongword\nand more');
  });
});
