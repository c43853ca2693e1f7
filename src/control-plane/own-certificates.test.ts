import { expect, it } from 'vitest';
import { createMetrics } from '../lib/metrics.ts';
import { createTestCa } from '../testing/certificates.ts';
import { createOwnCertificateMetrics } from './own-certificates.ts';

it('shows of a chain what ends first, and what is shown now', async () => {
  const now = Date.parse('2026-01-01');
  const long = await createTestCa({ now, to: 7_200_000 });
  const short = await createTestCa({ now, to: 3_600_000 });
  const metrics = createMetrics();
  let server = short.pem + long.pem;
  createOwnCertificateMetrics(
    metrics,
    () => now,
    () => ({ server }),
  );
  const left = async () => /seconds_left\{certificate="server"\} (\S+)/.exec(await metrics.metrics())?.[1];
  expect(await left()).toBe('3600');
  server = long.pem;
  expect(await left()).toBe('7200');
});
