import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../../src/testing/certificates.ts';
import { createRestFixture, type RestFixture } from '../../src/testing/rest-fixture.ts';

let api: RestFixture;
let httpPort: number;
let httpsPort: number;

beforeAll(async () => {
  const ca = await createTestCa();
  const leaf = await createTestLeaf(ca);
  api = await createRestFixture({
    server: {
      http: { host: '127.0.0.1', port: 0 },
      https: { host: '127.0.0.1', port: 0, tls: { cert: leaf.pem, key: leaf.keyPem, minVersion: 'TLSv1.2' } },
      readHeaderTimeoutMs: 500,
      readTimeoutMs: 1000,
    },
  });
  await api.seed('Mesh', 'default', {});
  await api.seed('GlobalSecret', 'admin-user-token', { data: 'c2VjcmV0' });
  const { http, https } = await api.server.listen();
  httpPort = http!.port;
  httpsPort = https!.port;
});
afterAll(() => api.server.close());

/** Sends these bytes, and resolves with all that came back when the server closes the connection. */
function raw(
  text: string,
  options: { port?: number; timeoutMs?: number } = {},
): Promise<{ answer: string; tookMs: number }> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const socket = connect(options.port ?? httpPort, '127.0.0.1');
    let answer = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server kept the connection open; so far: ${answer}`));
    }, options.timeoutMs ?? 5000);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve({ answer, tookMs: performance.now() - started });
    });
    socket.write(text);
  });
}

const get = (path: string, headers: string[]) =>
  raw([`GET ${path} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n'));
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);

describe('the API on a real socket', () => {
  it('takes a direct local call for the admin, and nothing else', async () => {
    const secrets = '/global-secrets/admin-user-token';
    const status = async (...headers: string[]) => statusOf((await get(secrets, headers)).answer);
    const host = `Host: localhost:${httpPort}`;
    expect(await status(host)).toBe(200);
    expect(await status(`Host: 127.0.0.1:${httpPort}`)).toBe(200);
    expect(await status(host, `Origin: http://localhost:${httpPort}`)).toBe(200);
    for (const headers of [
      ['Host: evil.example'],
      [`Host: rebound.example:${httpPort}`],
      ['Host: 127.0.0.1.nip.io'],
      ['Host: localhost', 'Host: evil.example'],
      ['Host: evil.example', 'Host: localhost'],
      [host, 'Origin: https://evil.example'],
      [host, 'Origin: null'],
      [host, 'Sec-Fetch-Site: cross-site'],
      [host, 'X-Forwarded-For: 127.0.0.1'],
      [host, 'X-Real-IP: 127.0.0.1'],
      [host, 'Forwarded: for=127.0.0.1'],
      [host, 'x-FORWARDED-host: localhost'],
    ]) {
      expect([400, 403], headers.join('; ')).toContain(await status(...headers));
    }
    expect(statusOf((await get(secrets, [])).answer)).toBe(400);
  });

  it('does not let an absolute request target speak for the Host', async () => {
    const { answer } = await get('http://evil.example/global-secrets', [`Host: localhost:${httpPort}`]);
    expect(statusOf(answer)).toBe(400);
  });

  it('closes connections that send their header too slowly', async () => {
    const { tookMs } = await raw('GET /meshes HTTP/1.1\r\nHost: loc');
    expect(tookMs).toBeLessThan(3000);
  });

  it('closes connections that send their body too slowly', async () => {
    const { answer, tookMs } = await raw(
      `PUT /meshes/m HTTP/1.1\r\nHost: localhost:${httpPort}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"type":`,
    );
    expect([0, 408]).toContain(statusOf(answer));
    expect(tookMs).toBeLessThan(3500);
  });

  it('refuses two lengths, two framings, and too long headers', async () => {
    const put = (headers: string, body = '') =>
      raw(`PUT /meshes/m HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n${body}`);
    expect(statusOf((await put('Content-Length: 2\r\nContent-Length: 3', '{}')).answer)).toBe(400);
    expect(statusOf((await put('Content-Length: 2\r\nTransfer-Encoding: chunked', '{}')).answer)).toBe(400);
    expect(statusOf((await raw('NONSENSE\r\n\r\n')).answer)).toBe(400);
    const { answer } = await raw(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`);
    expect([0, 431]).toContain(statusOf(answer));
  });

  it('serves others under hundreds of slow connections', async () => {
    const slow = Array.from({ length: 300 }, () => raw('GET /me').catch(() => undefined));
    const started = performance.now();
    expect((await fetch(`http://127.0.0.1:${httpPort}/meshes`)).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(2000);
    await Promise.all(slow);
  });

  it('answers over HTTPS, with links that say so', async () => {
    await api.seed('Mesh', 'second', {});
    const body = await new Promise<string>((resolve, reject) => {
      const call = httpsRequest(
        { host: '127.0.0.1', port: httpsPort, path: '/meshes?size=1', rejectUnauthorized: false },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve(text));
        },
      );
      call.on('error', reject).end();
    });
    expect(JSON.parse(body).next).toMatch(new RegExp(`^https://127\\.0\\.0\\.1:${httpsPort}/meshes\\?`));
    const { answer } = await raw('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', { port: httpsPort });
    expect(statusOf(answer)).not.toBe(200);
  });

  it('says which port is taken, and closes at once with connections open', async () => {
    const second = await createRestFixture({ server: { http: { host: '127.0.0.1', port: httpPort } } });
    await expect(second.server.listen()).rejects.toThrow(new RegExp(`listen for the API on 127.0.0.1:${httpPort}`));
    const third = await createRestFixture({ server: { http: { host: '127.0.0.1', port: 0 } } });
    const { http } = await third.server.listen();
    const idle = connect(http!.port, '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    const started = performance.now();
    await third.server.close();
    expect(performance.now() - started).toBeLessThan(2000);
    idle.destroy();
  });
});
