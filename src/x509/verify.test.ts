import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createTestCa,
  createTestLeaf,
  type TestCertificate,
  type TestCertificateOptions,
} from '../testing/certificates.ts';
import { CLIENT_AUTH, inspectCertificate, KEY_USAGE, SERVER_AUTH } from './certificate.ts';
import { reachesAnchor } from './chain.ts';
import { generateEcKey, type KeyPair } from './key.ts';
import { createLeafTemplate, randomSerial } from './leaf.ts';
import { toPem } from './pem.ts';
import { createTrustStore, type RefusalCode, type TrustStore, verifyLeaf } from './verify.ts';

const SANS = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
const HOUR = 3_600_000;

let root: TestCertificate;
let trust: TrustStore;
let keys: KeyPair;
beforeAll(async () => {
  root = await createTestCa();
  trust = await createTrustStore(root.pem);
  keys = generateEcKey();
});

const check = (pem: string, change: { trust?: TrustStore; now?: number; keys?: KeyPair } = {}) =>
  verifyLeaf(pem, { keys, uriSans: SANS, trust, now: Date.now(), ...change });

const leaf = (options: TestCertificateOptions = {}, issuer = root) => createTestLeaf(issuer, { keys, ...options });

describe('a good chain', () => {
  it('passes with what is known of it', async () => {
    const good = await leaf();
    expect(await check(good.pem)).toMatchObject({
      ok: true,
      leaf: {
        chainPem: good.pem,
        issuer: 'CN=default,OU=Mesh,O=Kuma',
        serial: expect.stringMatching(/^[0-9a-f]{2,}$/),
      },
    });
  });

  it('passes through intermediates, up to the root or to an intermediate that is trusted', async () => {
    const upper = await createTestCa({ issuer: root, subject: 'CN=upper', pathLength: 1 });
    const lower = await createTestCa({ issuer: upper, subject: 'CN=lower', pathLength: 0 });
    const good = await leaf({}, lower);
    const full = good.pem + lower.pem + upper.pem;
    expect(await check(full)).toMatchObject({ ok: true, leaf: { chainPem: full, issuer: 'CN=lower' } });
    expect(await check(full + root.pem)).toMatchObject({ ok: true, leaf: { chainPem: full } });
    const partial = await createTrustStore(lower.pem);
    expect(await check(good.pem, { trust: partial })).toMatchObject({ ok: true });
    expect(await check(good.pem)).toMatchObject({ ok: false, code: 'untrusted' });
  });

  it('passes with its names in any order, and with the DNS names that were asked for, no others', async () => {
    const dnsSans = ['web.mesh', 'web'];
    const good = await leaf({ uriSans: [...SANS].reverse(), dnsSans });
    const ask = (dnsNames?: string[]) =>
      verifyLeaf(good.pem, { keys, uriSans: SANS, trust, now: Date.now(), ...(dnsNames ? { dnsNames } : {}) });
    expect(await ask(['web', 'web.mesh'])).toMatchObject({ ok: true, leaf: { anchorPem: root.pem } });
    for (const dnsNames of [undefined, ['web'], ['web', 'web.mesh', 'api']])
      expect(await ask(dnsNames)).toMatchObject({ ok: false, code: 'san-mismatch' });
  });

  it('passes when the clock of its issuer is a little ahead', async () => {
    expect(await check((await leaf({ from: 1500 })).pem)).toMatchObject({ ok: true });
    expect(await check((await leaf({ from: 5000 })).pem)).toMatchObject({ ok: false, code: 'not-yet-valid' });
  });

  it('takes the same verdict on the quick way and on the slow one', async () => {
    const { subject, keyId, node } = await inspectCertificate(root.der);
    const template = createLeafTemplate({ subject, keyId, key: node.publicKey });
    const now = Date.now();
    const fields = { serial: randomSerial(), notBefore: now - 1000, notAfter: now + HOUR, publicKey: keys.publicKey };
    for (const uriSans of [SANS, [...SANS, 'spiffe://default/extra'], [...SANS].reverse(), ['spiffe://other/web']]) {
      const pem = toPem('CERTIFICATE', template.sign({ ...fields, uriSans }, root.keys.privateKey));
      const good = uriSans.length === 2;
      expect(await check(pem)).toMatchObject(good ? { ok: true } : { ok: false, code: 'san-mismatch' });
    }
  });
});

describe('a bad chain', () => {
  const later = { from: HOUR, to: 2 * HOUR };
  const cases: [RefusalCode, string, () => Promise<string>][] = [
    ['no-certificate', 'empty', async () => ''],
    ['no-certificate', 'an HTML page', async () => '<html><body>200 OK</body></html>'],
    ['no-certificate', 'only a key', async () => (await leaf()).keyPem],
    ['malformed', 'truncated PEM', async () => (await leaf()).pem.slice(0, 300)],
    ['malformed', 'truncated DER', async () => toPem('CERTIFICATE', (await leaf()).der.subarray(0, 200))],
    [
      'malformed',
      'bytes after the DER',
      async () => toPem('CERTIFICATE', Buffer.concat([(await leaf()).der, Buffer.alloc(9)])),
    ],
    ['too-large', '50 MB', async () => (await leaf()).pem + 'a'.repeat(50_000_000)],
    ['too-large', 'many certificates', async () => (await leaf()).pem.repeat(11)],
    ['key-mismatch', 'a certificate for another key', async () => (await leaf({ keys: generateEcKey() })).pem],
    [
      'san-mismatch',
      'another SPIFFE id',
      async () => (await leaf({ uriSans: ['spiffe://default/other', SANS[1]!] })).pem,
    ],
    ['san-mismatch', 'an extra URI', async () => (await leaf({ uriSans: [...SANS, 'spiffe://default/admin'] })).pem],
    ['san-mismatch', 'an extra DNS name', async () => (await leaf({ dnsSans: ['web.example'] })).pem],
    ['san-mismatch', 'one URI holding two', async () => (await leaf({ uriSans: [SANS.join(', URI:')] })).pem],
    ['san-mismatch', 'no SAN', async () => (await leaf({ uriSans: [], subject: 'CN=web' })).pem],
    ['is-ca', 'CA:TRUE', async () => (await leaf({ isCa: true })).pem],
    [
      'is-ca',
      'keyCertSign',
      async () => (await leaf({ keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyCertSign })).pem,
    ],
    ['expired', 'an end in the past', async () => (await leaf({ from: -2 * HOUR, to: -HOUR })).pem],
    ['not-yet-valid', 'a start in the future', async () => (await leaf(later)).pem],
    ['extended-key-usage', 'no clientAuth', async () => (await leaf({ extendedKeyUsage: [SERVER_AUTH] })).pem],
    ['extended-key-usage', 'no serverAuth', async () => (await leaf({ extendedKeyUsage: [CLIENT_AUTH] })).pem],
    ['key-usage', 'no digitalSignature', async () => (await leaf({ keyUsage: KEY_USAGE.keyEncipherment })).pem],
    ['weak-signature', 'SHA-1', async () => (await leaf({ hash: 'SHA-1' })).pem],
    ['untrusted', 'another CA of the same name', async () => (await leaf({}, await createTestCa())).pem],
    [
      'untrusted',
      'its own signature',
      async () => (await createTestLeaf(root, { keys, issuer: undefined as never })).pem,
    ],
    [
      'wrong-order',
      'the intermediate first',
      async () => {
        const lower = await createTestCa({ issuer: root, subject: 'CN=lower' });
        return lower.pem + (await leaf({}, lower)).pem;
      },
    ],
    [
      'wrong-order',
      'a stranger behind the leaf',
      async () => (await leaf()).pem + (await createTestCa({ subject: 'CN=x' })).pem,
    ],
    ['duplicate', 'the leaf twice', async () => (await leaf()).pem.repeat(2)],
    [
      'weak-signature',
      'an intermediate signed with SHA-1',
      async () => {
        const lower = await createTestCa({ issuer: root, subject: 'CN=lower', hash: 'SHA-1' });
        return (await leaf({}, lower)).pem + lower.pem;
      },
    ],
    [
      'issuer-not-ca',
      'an intermediate that is no CA',
      async () => {
        const lower = await createTestLeaf(root, { subject: 'CN=lower', keyUsage: KEY_USAGE.keyCertSign });
        return (await leaf({}, lower)).pem + lower.pem;
      },
    ],
    [
      'issuer-expired',
      'an expired intermediate',
      async () => {
        const lower = await createTestCa({ issuer: root, subject: 'CN=lower', from: -2 * HOUR, to: -HOUR });
        return (await leaf({}, lower)).pem + lower.pem;
      },
    ],
    [
      'path-length',
      'one CA too many',
      async () => {
        const upper = await createTestCa({ issuer: root, subject: 'CN=upper', pathLength: 0 });
        const lower = await createTestCa({ issuer: upper, subject: 'CN=lower' });
        return (await leaf({}, lower)).pem + lower.pem + upper.pem;
      },
    ],
    [
      'outlives-issuer',
      'an end after its issuer’s',
      async () => {
        const lower = await createTestCa({ issuer: root, subject: 'CN=lower', to: HOUR });
        return (await leaf({ to: 2 * HOUR }, lower)).pem + lower.pem;
      },
    ],
  ];
  it.each(cases)('is refused as %s: %s', async (code, _, make) => {
    const pem = await make();
    const verdict = await check(pem);
    expect(verdict).toMatchObject({ ok: false, code });
    expect(JSON.stringify(verdict)).not.toMatch(/BEGIN|<html>/);
  });

  it('gives a typed verdict for any mutation of a good one', async () => {
    const { der } = await leaf();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (edits) => {
          const changed = Buffer.from(der);
          for (const [at, value] of edits) changed[at] = value;
          fc.pre(!changed.equals(der));
          expect((await check(toPem('CERTIFICATE', changed))).ok).toBe(false);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('gives a typed error for any bytes as an anchor', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        await expect(createTrustStore(toPem('CERTIFICATE', bytes))).rejects.toMatchObject({ code: 'malformed' });
      }),
      { numRuns: 300 },
    );
  });
});

describe('reachesAnchor', () => {
  it('looks at signatures only', async () => {
    const other = await createTestCa();
    const lower = await createTestCa({ issuer: root, subject: 'CN=lower' });
    const good = await leaf({ from: -2 * HOUR, to: -HOUR }, lower);
    const anchors = async (ca: TestCertificate) => [(await inspectCertificate(ca.der)).node];
    expect(reachesAnchor(good.pem + lower.pem, await anchors(root))).toBe(true);
    expect(reachesAnchor(good.pem, await anchors(lower))).toBe(true);
    expect(reachesAnchor(good.pem, await anchors(root))).toBe(false);
    expect(reachesAnchor(good.pem + lower.pem, await anchors(other))).toBe(false);
  });
});
