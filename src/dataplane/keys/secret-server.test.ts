import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyPem, makeKey } from './own-key.ts';
import { createSecretServer, type SecretServer } from './secret-server.ts';
import type { ServedLeaf } from './served-leaf.ts';

const NAME = 'identity_cert:secret:default';
let folder: string;
let server: SecretServer;
let said: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-secrets-'));
  said = [];
  server = await createSecretServer({
    socketPath: join(folder, 'keys.sock'),
    said: ({ serial }, accepted) => void said.push(`${serial} ${accepted ? 'accepted' : 'refused'}`),
  });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const leaf = async (serial: string): Promise<ServedLeaf> => ({
  key: await makeKey('ec-p256'),
  serial,
  chainPem: `chain of ${serial}`,
  anchorPem: '',
});

/** One request of Envoy, which has `version`. */
function ask(version: string, names: readonly string[] = [NAME], path = '/v3/discovery:secrets') {
  return new Promise<{ status: number; version: string; text: string }>((resolve, reject) => {
    const call = request(
      { socketPath: join(folder, 'keys.sock'), method: 'POST', path, agent: false },
      async (response: IncomingMessage) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        resolve({ status: response.statusCode!, version: text && JSON.parse(text).version_info, text });
      },
    );
    call.on('error', reject);
    call.end(JSON.stringify({ ...(version && { version_info: version }), resource_names: names }));
  });
}

/** True when it is not answered within a moment. */
const waits = (asked: Promise<unknown>) =>
  Promise.race([asked.then(() => false), new Promise((resolve) => setTimeout(resolve, 50, true))]);

describe('createSecretServer', () => {
  it('answers when there is a leaf, and hears by the next request that it was taken', async () => {
    const first = ask('');
    expect(await waits(first)).toBe(true);
    const one = await leaf('1a');
    server.serve(one);
    const answer = await first;
    expect(answer.version).toBe('1a');
    const [resource] = JSON.parse(answer.text).resources;
    expect(resource).toMatchObject({
      name: NAME,
      tls_certificate: { private_key: { inline_string: keyPem(one.key) } },
    });
    expect(said).toEqual([]);
    const next = ask('1a');
    expect(await waits(next)).toBe(true);
    expect(said).toEqual(['1a accepted']);
    server.serve(await leaf('2b'));
    expect((await next).version).toBe('2b');
  });

  it('hears that it was refused, and does not give it again; the next one it gives', async () => {
    server.serve(await leaf('1a'));
    await ask('');
    const again = ask('');
    expect(await waits(again)).toBe(true);
    expect(said).toEqual(['1a refused']);
    server.serve(await leaf('2b'));
    expect((await again).version).toBe('2b');
  });

  it('gives it to a new Envoy, and to one that asks anew', async () => {
    server.serve(await leaf('1a'));
    await ask('');
    server.envoyStarted();
    expect((await ask('')).version).toBe('1a');
    const waiting = ask('1a');
    expect(await waits(waiting)).toBe(true);
    expect((await ask('')).version).toBe('1a');
    expect(said).toEqual(['1a accepted']);
    server.serve(await leaf('2b'));
    await waiting;
  });

  it('has nothing else, and is for its user only', async () => {
    server.serve(await leaf('1a'));
    expect((await ask('', ['mesh_ca:secret:default'])).status).toBe(404);
    expect((await ask('', [NAME], '/')).status).toBe(404);
    expect(statSync(join(folder, 'keys.sock')).mode & 0o777).toBe(0o600);
  });
});
