import { describe, expect, it } from 'vitest';
import { known } from './fact.ts';
import { checkOwnState, type OwnStateReport } from './own-state.ts';
import { CA_THRESHOLD } from './thresholds.ts';

const DAY = 86_400_000;
const server = { name: 'server', notBefore: 0, notAfter: 3650 * DAY };
const keys = { kind: 'dataplane', mesh: 'default', kids: ['1'], needed: true };
const report = (change: Partial<OwnStateReport>) => ({ certificates: [server], signingKeys: [keys], ...change });
const outcomes = (change: Partial<OwnStateReport>, now = DAY) =>
  checkOwnState({ own: known(report(change)), threshold: CA_THRESHOLD, now }).map(
    ({ id, outcome, message }) => `${id} ${outcome}: ${message}`,
  );

describe('checkOwnState', () => {
  it('is quiet when certificates live and keys are there', () => {
    expect(outcomes({})).toEqual([
      'own-certificates ok: 1 are valid, the first to end in 3649 days',
      'signing-keys ok: tokens of every kind can be signed',
    ]);
  });

  it.each([
    [3640 * DAY, 'expires in 10 days'],
    [3651 * DAY, 'expired 24 h ago'],
    [-2 * DAY, 'is valid only in 2 days'],
  ])('fails for a certificate at %i', (now, reason) => {
    expect(outcomes({}, now)[0]).toBe(`own-certificates fail: certificate server ${reason}`);
  });

  it('fails for a key that is missing where tokens are issued', () => {
    const user = { kind: 'user', mesh: '', kids: [], needed: true };
    const zone = { kind: 'zone', mesh: '', kids: [], needed: false };
    expect(outcomes({ signingKeys: [{ ...keys, kids: [] }, user, zone] })[1]).toBe(
      'signing-keys fail: no key signs tokens: dataplane of mesh default, user',
    );
  });

  it('is skipped with its reason when it may not be seen', () => {
    const own = { state: 'forbidden', reason: 'no rights' } as const;
    expect(checkOwnState({ own, threshold: CA_THRESHOLD, now: 0 })).toMatchObject([
      { outcome: 'skip', message: 'its own certificates: you may not see it (no rights)' },
    ]);
  });
});
