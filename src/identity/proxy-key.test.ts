import { createPublicKey, ECDH, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signedRequest } from '../testing/signed-request.ts';
import { inspectCsr } from '../x509/csr.ts';
import { generateEcKey, generateRsaKey, toSpki } from '../x509/key.ts';
import {
  type KeyHolder,
  keyIdOf,
  ProxyKeyError,
  requestProxyKey,
  type SignedRequest,
  type WantedCsr,
} from './proxy-key.ts';

const URIS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
const EC = { keyType: 'ec-p256' as const, uriSans: URIS };

/** A launcher that answers with what `answer` makes. */
function launcher(
  answer: (wanted: WantedCsr) => Promise<SignedRequest> | SignedRequest,
): KeyHolder & { known: Set<string> } {
  const known = new Set<string>();
  return {
    known,
    holds: (keyId) => known.has(keyId),
    made: (keyId) => void known.add(keyId),
    request: async (wanted) => answer(wanted),
  };
}

const refusal = (holder: KeyHolder, isUsed = (_keyId: string) => false) =>
  requestProxyKey(holder, EC, isUsed).then(
    () => 'taken',
    (error: unknown) => (error instanceof ProxyKeyError ? error.message : `another error: ${error}`),
  );

describe('requestProxyKey', () => {
  it('makes a CSR with the wanted names, and asks again where the subject has names', async () => {
    const key = generateEcKey();
    const asked: WantedCsr[] = [];
    const holder = launcher((wanted) => {
      asked.push(wanted);
      return signedRequest(key, wanted);
    });
    const made = await requestProxyKey(holder, EC, () => false);
    expect(made.publicKey.equals(key.publicKey)).toBe(true);
    expect(holder.known).toEqual(new Set([keyIdOf(key.publicKey)]));
    const plain = await inspectCsr(await made.csr());
    expect(plain).toMatchObject({ uriSans: URIS, subject: '', valid: true, extensions: ['2.5.29.17'] });
    expect(asked).toHaveLength(1);
    const named = await inspectCsr(await made.csr({ commonName: 'web.default', dnsNames: ['web.example'] }));
    expect(named).toMatchObject({ uriSans: [...URIS, 'dns:web.example'], subject: 'CN=web.default', valid: true });
    expect(asked[1]).toMatchObject({ keyId: made.keyId, names: { commonName: 'web.default' } });
  });

  const withUris = (uriSans: readonly string[], names = {}) => signedRequest(generateEcKey(), { uriSans, names });
  const withKey = (publicKey: Buffer) => ({ publicKey, signature: Buffer.from('00', 'hex') });
  it.each<[string, () => Promise<SignedRequest> | SignedRequest, RegExp]>([
    ['nothing', () => withKey(Buffer.alloc(0)), /cannot be read/],
    ['no key', () => withKey(Buffer.from('-----BEGIN PUBLIC KEY-----')), /cannot be read/],
    ['half of one', () => withKey(generateEcKey().publicKey.subarray(0, 50)), /cannot be read/],
    ['a key without a signature', () => withKey(generateEcKey().publicKey), /signature/],
    ['the name of another service', () => withUris(['spiffe://default/api', URIS[1]!]), /signature/],
    ['a second SPIFFE ID', () => withUris([...URIS, 'spiffe://default/api']), /signature/],
    ['a name too few', () => withUris([URIS[0]!]), /signature/],
    ['names in another order', () => withUris([...URIS].reverse()), /signature/],
    ['a DNS name', () => withUris(URIS, { dnsNames: ['bank.example'] }), /signature/],
    ['a subject', () => withUris(URIS, { commonName: 'admin' }), /signature/],
    ['the key of somebody else', () => ({ ...withUris(URIS), publicKey: generateEcKey().publicKey }), /signature/],
    ['an RSA key', async () => withKey((await generateRsaKey(2048)).publicKey), /not the ec-p256/],
    [
      'a key on another curve',
      () => withKey(toSpki(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)),
      /not the ec-p256/,
    ],
    [
      'a compressed point',
      () => {
        const key = generateEcKey();
        const point = ECDH.convertKey(key.publicKey.subarray(-65), 'prime256v1', undefined, undefined, 'compressed');
        const head = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
        const publicKey = Buffer.concat([head, point as Buffer]);
        expect(createPublicKey({ key: publicKey, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec');
        return signedRequest({ ...key, publicKey }, { uriSans: URIS, names: {} });
      },
      /usual form/,
    ],
  ])('refuses %s', async (_what, answer, message) => {
    const holder = launcher(answer);
    expect(await refusal(holder)).toMatch(message);
    expect(holder.known.size).toBe(0);
  });

  it.each([
    ['a short RSA key', { modulusLength: 1024 }],
    ['a long one', { modulusLength: 4096 }],
    ['one with exponent 3', { modulusLength: 2048, publicExponent: 3 }],
  ])('refuses %s where RSA is asked for', async (_what, options) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', options);
    const holder = launcher((wanted) => signedRequest({ privateKey, publicKey: toSpki(publicKey) }, wanted));
    await expect(requestProxyKey(holder, { ...EC, keyType: 'rsa-2048' }, () => false)).rejects.toThrow(/rsa-2048/);
  });

  it('takes the RSA key that is asked for', async () => {
    const key = await generateRsaKey(2048);
    const made = await requestProxyKey(
      launcher((wanted) => signedRequest(key, wanted)),
      { ...EC, keyType: 'rsa-2048' },
      () => false,
    );
    expect(await inspectCsr(await made.csr())).toMatchObject({ uriSans: URIS, valid: true });
  });

  it('refuses a key that a leaf has', async () => {
    const key = generateEcKey();
    const holder = launcher((wanted) => signedRequest(key, wanted));
    expect(await refusal(holder, (keyId) => keyId === keyIdOf(key.publicKey))).toMatch(/used before/);
  });

  it('refuses another key behind further names', async () => {
    const holder = launcher((wanted) => signedRequest(generateEcKey(), wanted));
    const made = await requestProxyKey(holder, EC, () => false);
    await expect(made.csr({ commonName: 'web' })).rejects.toThrow(/another key/);
  });
});
