import { describe, expect, it } from 'vitest';
import { CaError } from '../backend.ts';
import type { EgressClient, EgressRequest } from '../egress.ts';
import { createVaultClient } from './client.ts';
import type { Asked } from './problem.ts';

const SUBJECT = { mesh: 'm', backend: 'b', address: 'https://v:8200', namespace: 'team', pki: 'pki', role: 'r' };
const LEAF: Asked = { kind: 'leaf', path: 'pki/sign/r' };
const signal = new AbortController().signal;

/** A Vault that answers the call with `status` and `body`, and says `health` of itself. */
function createWorld(status: number, body: string, health = 200) {
  const requests: EgressRequest[] = [];
  const egress: EgressClient = {
    async send(request) {
      requests.push(request);
      const isHealth = request.url.endsWith('/sys/health');
      return { status: isHealth ? health : status, headers: {}, body: Buffer.from(isHealth ? '' : body) };
    },
    close: async () => undefined,
  };
  const client = createVaultClient(SUBJECT, egress);
  const call = () => client.call({ method: 'POST', path: 'pki/sign/r', body: { ttl: '1h' }, token: 's.1', signal });
  const failure = async (asked = LEAF): Promise<CaError> =>
    call().then(
      () => expect.fail('it was no failure'),
      (error) => client.explain(error, asked, signal),
    );
  return { client, call, failure, requests };
}
const errors = (...texts: string[]) => JSON.stringify({ errors: texts });

describe('a call to Vault', () => {
  it('has token and namespace in its headers', async () => {
    const { call, requests } = createWorld(200, '{"data":{"a":1},"warnings":["w"]}');
    expect(await call()).toEqual({ data: { a: 1 }, auth: {}, warnings: ['w'] });
    expect(requests[0]).toMatchObject({
      url: 'https://v:8200/v1/pki/sign/r',
      headers: { 'x-vault-token': 's.1', 'x-vault-namespace': 'team', 'x-vault-request': 'true' },
      body: '{"ttl":"1h"}',
    });
  });

  it('may answer with nothing', async () => {
    expect(await createWorld(204, '').call()).toEqual({ data: {}, auth: {}, warnings: [] });
  });

  it.each([
    [503, errors('Vault is sealed'), 503, 'unavailable', 'Sealed', 'vault operator unseal'],
    [503, errors('Vault is sealed'), 501, 'not-configured', 'NotInitialised', 'vault operator init'],
    [500, errors('local node not active but active cluster node not found'), 429, 'unavailable', 'Standby', undefined],
    [307, '', 429, 'unavailable', 'Standby', undefined],
    [307, '', 200, 'unavailable', 'Standby', undefined],
    [473, '', 200, 'unavailable', 'Standby', undefined],
    [472, '', 200, 'not-configured', 'DisasterRecoverySecondary', undefined],
    [500, '<html>broken</html>', 472, 'not-configured', 'DisasterRecoverySecondary', undefined],
    [500, '<html>broken</html>', 200, 'unavailable', 'VaultError', undefined],
    [429, errors('rate limit quota exceeded'), 200, 'throttled', 'RateLimited', undefined],
    [412, errors('required index state not present'), 200, 'unavailable', 'NotYetReplicated', undefined],
    [403, errors('permission denied'), 200, 'forbidden', 'PermissionDenied', expect.stringContaining('pki/sign/r')],
    [404, errors('namespace not found'), 200, 'not-configured', 'NamespaceNotFound', undefined],
    [
      404,
      errors('no handler for route "pki/sign/r"'),
      200,
      'not-configured',
      'PkiNotFound',
      expect.stringContaining('enable'),
    ],
    [404, errors('1 error occurred:\n\t* unsupported path\n\n'), 200, 'not-configured', 'NotPki', undefined],
    [404, errors(), 200, 'not-configured', 'NotFound', undefined],
    [400, errors('no idea'), 200, 'invalid-request', 'RequestRefused', undefined],
  ])('answered with %i %s by a node that says %i is %s, %s', async (status, body, health, code, reason, fix) => {
    const error = await createWorld(status, body, health).failure();
    expect(error).toMatchObject({ code, reason, fix });
    expect(error.message).toMatch(/^backend "b" of mesh m: /);
    expect(error.message).not.toContain('<html>');
  });

  it.each([
    [400, errors('invalid role or secret ID'), 'LoginRefused'],
    [403, errors('permission denied'), 'LoginRefused'],
    [404, errors('no handler for route'), 'AuthMethodMissing'],
    [404, errors('namespace not found'), 'NamespaceNotFound'],
  ])('to log in that is answered with %i %s is %s', async (status, body, reason) => {
    const asked: Asked = { kind: 'login', method: 'appRole', path: 'auth/approle/login' };
    expect(await createWorld(status, body).failure(asked)).toMatchObject({ reason });
  });

  it('repeats of an answer a few short lines that are Vault’s own, and no more', async () => {
    const long = createWorld(500, errors('a'.repeat(1000), 'b', 'c', 'd', 'e'));
    expect((await long.failure()).message.length).toBeLessThan(400);
    const html = createWorld(200, '<html>canary</html>');
    await expect(html.call()).rejects.toMatchObject({ code: 'invalid-answer', reason: 'InvalidAnswer' });
    await expect(html.call()).rejects.not.toThrowError(/canary/);
  });

  it('that brought no answer says what egress found, and which field to look at', async () => {
    const egress: EgressClient = {
      send: () =>
        Promise.reject(new CaError('unavailable', 'v:8200 refused the connection', { reason: 'ConnectionRefused' })),
      close: async () => undefined,
    };
    await expect(createVaultClient(SUBJECT, egress).call({ method: 'GET', path: 'x', signal })).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'ConnectionRefused',
      message:
        'backend "b" of mesh m: Vault at v:8200 refused the connection; start Vault there, or correct conf.fromCp.address',
    });
  });
});
