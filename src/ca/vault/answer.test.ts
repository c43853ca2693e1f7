import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../../testing/certificates.ts';
import { CaError } from '../backend.ts';
import { createAnswerReader, issueBody, signBody } from './answer.ts';

const SUBJECT = { mesh: 'm', backend: 'b', address: 'https://v', namespace: '', pki: 'pki', role: 'r' };
const ORDER = { uriSans: ['spiffe://m/web', 'kuma://a/b'], commonName: undefined, lifetimeMs: 90_500 };

describe('a question to Vault', () => {
  it('has the URIs in the CSR and beside it, the life in whole seconds, and no key format where none is made', () => {
    const body = JSON.parse(JSON.stringify(signBody(ORDER, Buffer.from([1, 2, 3]))));
    expect(body).toEqual({
      csr: expect.stringContaining('BEGIN CERTIFICATE REQUEST'),
      uri_sans: ['spiffe://m/web', 'kuma://a/b'],
      ttl: '90s',
      exclude_cn_from_sans: true,
      format: 'pem',
    });
    expect(issueBody({ ...ORDER, commonName: 'web.mesh', lifetimeMs: 1 })).toMatchObject({
      common_name: 'web.mesh',
      ttl: '1s',
      private_key_format: 'pkcs8',
    });
  });
});

describe("Vault's answer", async () => {
  const root = await createTestCa({ subject: 'CN=root' });
  const intermediate = await createTestCa({ subject: 'CN=intermediate', issuer: root });
  const leaf = await createTestLeaf(intermediate);
  const request = { publicKey: leaf.keys.publicKey };
  const pem = (one: { pem: string }) => one.pem.trim();
  const chainOf = createAnswerReader(SUBJECT);

  it('is put in order: leaf, intermediates; the root is what to trust', () => {
    const data = { certificate: pem(leaf), issuing_ca: pem(intermediate), ca_chain: [pem(intermediate), pem(root)] };
    expect(chainOf(data, request)).toEqual({ pem: leaf.pem + intermediate.pem, anchorsPem: root.pem });
  });

  it('may have the leaf in its chain, parts of it twice, and any order', () => {
    const data = {
      certificate: pem(leaf),
      issuing_ca: pem(intermediate),
      ca_chain: [pem(root), pem(leaf), pem(intermediate), pem(root)],
    };
    expect(chainOf(data, request)).toEqual({ pem: leaf.pem + intermediate.pem, anchorsPem: root.pem });
  });

  it('of a mount that does not know its root says to trust the highest CA it knows', () => {
    const data = { certificate: pem(leaf), issuing_ca: pem(intermediate) };
    expect(chainOf(data, request)).toEqual({ pem: leaf.pem + intermediate.pem, anchorsPem: intermediate.pem });
    expect(chainOf({ ...data, ca_chain: null }, request).anchorsPem).toBe(intermediate.pem);
  });

  it('brings its key when Vault made it', () => {
    const data = { certificate: pem(leaf), issuing_ca: pem(intermediate), private_key: leaf.keyPem };
    expect(chainOf(data, undefined).privateKeyPem).toBe(leaf.keyPem);
    expect(() => chainOf({ ...data, private_key: '' }, undefined)).toThrowError(/no PRIVATE KEY block/);
  });

  it.each([
    ['no certificate', {}],
    ['an empty certificate', { certificate: ' ', issuing_ca: pem(root) }],
    ['no CA', { certificate: pem(leaf) }],
    ['text', { certificate: 'x', issuing_ca: 'y' }],
    ['numbers', { certificate: 1, issuing_ca: 2, ca_chain: 3 }],
  ])('with %s is refused', (_name, data) => {
    expect(() => chainOf(data, request)).toThrowError(CaError);
  });

  it('whatever it is, ends in a chain or a CaError without any of the content', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom(pem(leaf), pem(root), leaf.keyPem, 'canary-4711'));
    const value = fc.oneof(text, fc.array(text), fc.jsonValue());
    const data = fc.record(
      { certificate: value, issuing_ca: value, ca_chain: value, private_key: value },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(data, fc.boolean(), (given, own) => {
        try {
          chainOf(given, own ? request : undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(CaError);
          expect(String(error)).not.toContain('canary-4711');
        }
      }),
      { numRuns: 300 },
    );
  });
});
