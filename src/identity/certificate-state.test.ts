import { describe, expect, it } from 'vitest';
import { certificateState } from './certificate-state.ts';

describe('state of a certificate', () => {
  const HOUR = 3_600_000;
  const leaf = (hours: number) => ({ issuedAt: 0, renewAt: 0.75 * hours * HOUR, notAfter: hours * HOUR });

  it('is none without a leaf', () => {
    expect(certificateState(undefined, 0)).toBe('none');
  });

  it.each([1, 24, 24 * 365])('follows the life of %d hours, and no fixed time', (hours) => {
    const at = (share: number) => certificateState(leaf(hours), share * hours * HOUR);
    expect([0, 0.74, 0.75, 0.84, 0.851, 0.999, 1, 2].map(at)).toEqual([
      'valid',
      'valid',
      'due',
      'due',
      'overdue',
      'overdue',
      'expired',
      'expired',
    ]);
  });
});
