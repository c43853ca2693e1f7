import { expect, it } from 'vitest';
import { hideSecrets } from './hide-secrets.ts';

it('hides each secret wherever it stands, and leaves words that are too short to be one', () => {
  expect(hideSecrets('token s.abcdefgh of web, again s.abcdefgh', ['s.abcdefgh', 'web', ''])).toBe(
    'token *** of web, again ***',
  );
});
