import { expect, it } from 'vitest';
import { f11 } from '../bench/rotation-storm.ts';

// In driven time: how busy the machine is changes nothing but the duration.
it('F11 all: 1000 proxies with leaves of a minute, ten lives, three restarts: none expires, and the rate stays even', async () => {
  const { expired_s, peak_mean, calls_per_certificate, certificates } = await f11(1000);
  expect(expired_s).toBe(0);
  expect(peak_mean).toBeLessThanOrEqual(2);
  expect(calls_per_certificate).toBeLessThanOrEqual(1.05);
  expect(certificates).toBeGreaterThan(9000);
}, 300_000);
