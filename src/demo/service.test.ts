import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { callHttp } from './api.ts';
import { findFreePorts } from './ports.ts';
import { createApiService, createWebLoad, createWebService } from './service.ts';
import { startTraffic } from './traffic.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const urlOf = (port: number) => `http://127.0.0.1:${port}/`;

it('web passes on what api answers', async () => {
  const web = await listen(createWebService(urlOf(await listen(createApiService()))));
  expect(await callHttp(`http://127.0.0.1:${web}/fresh`, 'GET')).toEqual({
    status: 200,
    body: '{"service":"api","served":1}',
  });
  expect(await callHttp(`http://127.0.0.1:${web}/kept`, 'GET')).toEqual({
    status: 200,
    body: '{"service":"api","served":2}',
  });
});

it('web tells why api can not be reached', async () => {
  const [closed] = await findFreePorts(1);
  const web = await listen(createWebService(urlOf(closed!)));
  const answer = await callHttp(`http://127.0.0.1:${web}/`, 'GET');
  expect(answer.status).toBe(502);
  expect(answer.body).toContain('ECONNREFUSED');
});

it('web puts load on itself, and starts counting anew when told to', async () => {
  const [port] = await findFreePorts(1);
  const load = createWebLoad(port!, 200);
  const server = createWebService(urlOf(await listen(createApiService())), load);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const reportBy = async (method: string) =>
    JSON.parse((await callHttp(`http://127.0.0.1:${port}/traffic`, method)).body) as { ok: number; failed: number };
  expect(await reportBy('GET')).toMatchObject({ ok: 0, failed: 0 });
  await reportBy('POST');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = await reportBy('GET');
  expect(before.ok).toBeGreaterThan(20);
  expect(before.failed).toBe(0);
  expect((await reportBy('POST')).ok).toBeLessThan(before.ok);
  await load.stop();
});

it('traffic counts every request once: ok, other answers, broken connections', async () => {
  const port = await listen(createApiService());
  const [closed] = await findFreePorts(1);
  const traffic = startTraffic({
    url: [`http://127.0.0.1:${port}/`, `http://127.0.0.1:${closed}/`],
    perSecond: 200,
    keepAlive: false,
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const report = await traffic.stop();
  expect(report.sent).toBeGreaterThan(20);
  expect(report.ok + report.failed).toBe(report.sent);
  expect(Math.abs(report.ok - report.failed)).toBeLessThanOrEqual(1);
  expect(report.outcomes['200']).toBe(report.ok);
  expect(report.failures[0]).toContain('ECONNREFUSED');
});
