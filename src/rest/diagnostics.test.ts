import { expect, it } from 'vitest';
import { createMetrics, Gauge } from '../lib/metrics.ts';
import { startDiagnosticsServer } from './diagnostics.ts';

it('serves health, readiness with its reason, and metrics', async () => {
  const metrics = createMetrics();
  new Gauge({ name: 'weft_test', help: 'x', registers: [metrics] }).set(7);
  let missing: string | undefined = 'the store does not answer';
  const server = await startDiagnosticsServer({ host: '127.0.0.1', port: 0, metrics, ready: () => missing });
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, init);
    return [response.status, await response.text()];
  };
  expect(await get('/healthy')).toEqual([200, 'ok\n']);
  expect(await get('/ready')).toEqual([503, 'not ready: the store does not answer\n']);
  missing = undefined;
  expect(await get('/ready?x=1')).toEqual([200, 'ok\n']);
  expect((await get('/metrics'))[1]).toContain('weft_test 7');
  expect((await get('/healthy', { method: 'POST', body: 'x' }))[0]).toBe(405);
  expect((await get('/debug/pprof'))[0]).toBe(404);
  await expect(
    startDiagnosticsServer({ host: '127.0.0.1', port: server.address.port, metrics, ready: () => undefined }),
  ).rejects.toThrow(/EADDRINUSE/);
  await server.close();
});
