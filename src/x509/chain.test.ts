import { describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf } from '../testing/certificates.ts';
import { readNode } from './certificate.ts';
import { arrangeChain, isSubset, mergeBundles, parseCertificates, pathUpward } from './chain.ts';

describe('bundles', () => {
  it('are the same string whatever the order and the repeats, and hold certificates only', async () => {
    const [one, two] = [await createTestCa(), await createTestCa({ subject: 'CN=two' })];
    const merged = mergeBundles([one.pem + one.keyPem, two.pem, one.pem]);
    expect(merged).toBe(mergeBundles([`text\n${two.pem}`, one.pem]));
    expect(parseCertificates(merged)).toHaveLength(2);
    expect(merged).not.toContain('PRIVATE KEY');
    expect(isSubset(one.pem, merged)).toBe(true);
    expect(isSubset(merged, one.pem)).toBe(false);
  });

  it('refuse text without a certificate', () => {
    expect(() => mergeBundles(['nothing'])).toThrowError(expect.objectContaining({ code: 'not-found' }));
  });
});

describe('pathUpward', () => {
  it('links the signer to its root and leaves strangers out', async () => {
    const root = await createTestCa({ subject: 'CN=root' });
    const lower = await createTestCa({ issuer: root, subject: 'CN=lower' });
    const stranger = await createTestCa({ subject: 'CN=stranger' });
    const nodes = [stranger, root, lower].map(({ der }) => readNode(der));
    expect(pathUpward(nodes[2]!, nodes).map(({ subject }) => subject)).toEqual(['CN=lower', 'CN=root']);
  });
});

describe('arrangeChain', () => {
  it('puts the certificate of the key first and its issuers behind it, each once, strangers out', async () => {
    const root = await createTestCa({ subject: 'CN=root' });
    const lower = await createTestCa({ issuer: root, subject: 'CN=lower' });
    const stranger = await createTestCa({ subject: 'CN=stranger' });
    const leaf = await createTestLeaf(lower);
    const mixed = root.pem + leaf.pem + stranger.pem + lower.pem + leaf.pem;
    expect(arrangeChain(mixed, leaf.keys.publicKey)).toBe(leaf.pem + lower.pem + root.pem);
    expect(arrangeChain(root.pem + root.pem, leaf.keys.publicKey)).toBe(root.pem);
    expect(() => arrangeChain('<html>', leaf.keys.publicKey)).toThrowError(
      expect.objectContaining({ code: 'not-found' }),
    );
  });
});
