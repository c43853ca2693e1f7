import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createCsr } from '../x509/csr.ts';
import { generateEcKey, generateRsaKey, toSpki } from '../x509/key.ts';
import { buildRequest } from '../x509/request-template.ts';
import { type KeyHolder, keyIdOf, ProxyKeyError, requestProxyKey, type WantedCsr } from './proxy-key.ts';

const URIS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
const EC = { keyType: 'ec-p256' as const, uriSans: URIS };

/** A launcher that answers with what `answer` makes. */
function launcher(answer: (wanted: WantedCsr) => Promise<Buffer> | Buffer): KeyHolder & { known: Set<string> } {
  const known = new Set<string>();
  return {
    known,
    holds: (keyId) => known.has(keyId),
    made: (keyId) => void known.add(keyId),
    request: async (wanted) => answer(wanted),
  };
}

const csr = (key: KeyObject, uriSans: readonly string[] = URIS, names = {}) => createCsr(key, uriSans, names);
const refusal = (holder: KeyHolder, isUsed = (_keyId: string) => false) =>
  requestProxyKey(holder, EC, isUsed).then(
    () => 'taken',
    (error: unknown) => (error instanceof ProxyKeyError ? error.message : `another error: ${error}`),
  );

describe('requestProxyKey', () => {
  it('takes the public key of a CSR with the wanted names, and asks again where the subject has names', async () => {
    const { privateKey, publicKey } = generateEcKey();
    const asked: WantedCsr[] = [];
    const holder = launcher((wanted) => {
      asked.push(wanted);
      return csr(privateKey, wanted.uriSans, wanted.names);
    });
    const key = await requestProxyKey(holder, EC, () => false);
    expect(key.publicKey.equals(publicKey)).toBe(true);
    expect(holder.known).toEqual(new Set([keyIdOf(publicKey)]));
    await key.csr();
    expect(asked).toHaveLength(1);
    await key.csr({ commonName: 'web.default', dnsNames: ['web.example'] });
    expect(asked[1]).toMatchObject({ keyId: key.keyId, names: { commonName: 'web.default' } });
  });

  it.each<[string, () => Promise<Buffer> | Buffer, RegExp]>([
    ['nothing', () => Buffer.alloc(0), /cannot be read/],
    ['no DER', () => Buffer.from('-----BEGIN CERTIFICATE REQUEST-----'), /cannot be read/],
    ['half of one', async () => (await csr(generateEcKey().privateKey)).subarray(0, 100), /cannot be read/],
    ['too much', () => Buffer.alloc(60_000, 0x30), /larger than/],
    ['the name of another service', () => csr(generateEcKey().privateKey, ['spiffe://default/api', URIS[1]!]), /names/],
    ['a second SPIFFE ID', () => csr(generateEcKey().privateKey, [...URIS, 'spiffe://default/api']), /names/],
    ['a name too few', () => csr(generateEcKey().privateKey, [URIS[0]!]), /names/],
    ['names in another order', () => csr(generateEcKey().privateKey, [...URIS].reverse()), /names/],
    ['a DNS name', () => csr(generateEcKey().privateKey, URIS, { dnsNames: ['bank.example'] }), /names/],
    ['a subject', () => csr(generateEcKey().privateKey, URIS, { commonName: 'admin' }), /names/],
    ['an RSA key', async () => csr((await generateRsaKey(2048)).privateKey), /not the ec-p256/],
    [
      'a key on another curve',
      () => csr(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey),
      /not the ec-p256/,
    ],
    [
      'a signature by another key',
      () => {
        const { publicKey } = generateEcKey();
        const { privateKey } = generateEcKey();
        const fields = { publicKey, keyType: 'ec-p256' as const, uriSans: URIS, dnsNames: [], commonName: '' };
        return buildRequest(fields, (body) => sign('sha256', body, privateKey));
      },
      /signature/,
    ],
  ])('refuses %s', async (_what, answer, message) => {
    expect(await refusal(launcher(answer))).toMatch(message);
  });

  it.each([
    ['a short RSA key', { modulusLength: 1024 }],
    ['a long one', { modulusLength: 4096 }],
    ['one with exponent 3', { modulusLength: 2048, publicExponent: 3 }],
  ])('refuses %s where RSA is asked for', async (_what, options) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', options);
    const fields = { publicKey: toSpki(publicKey), keyType: 'rsa-2048' as const, uriSans: URIS };
    const holder = launcher(() =>
      buildRequest({ ...fields, dnsNames: [], commonName: '' }, (body) => sign('sha256', body, privateKey)),
    );
    await expect(requestProxyKey(holder, { ...EC, keyType: 'rsa-2048' }, () => false)).rejects.toThrow(/rsa-2048/);
  });

  it('refuses a key that a leaf has', async () => {
    const { privateKey, publicKey } = generateEcKey();
    const holder = launcher(() => csr(privateKey));
    expect(await refusal(holder, (keyId) => keyId === keyIdOf(publicKey))).toMatch(/used before/);
  });

  it('refuses another key behind further names', async () => {
    const holder = launcher(({ uriSans, names }) => csr(generateEcKey().privateKey, uriSans, names));
    const key = await requestProxyKey(holder, EC, () => false);
    await expect(key.csr({ commonName: 'web' })).rejects.toThrow(/another key/);
  });
});
