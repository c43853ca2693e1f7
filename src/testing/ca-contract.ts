import { beforeEach, describe, expect, it } from 'vitest';
import type {
  BackendConfig,
  CaBackend,
  CaBackendKind,
  CaDependencies,
  PendingRecord,
  PendingRecords,
  SecretAccess,
  SigningRequest,
} from '../ca/backend.ts';
import { createEgress } from '../ca/egress.ts';
import { keyOf } from '../ca/own-leaf.ts';
import { parseCertificates } from '../x509/chain.ts';
import { createCsr } from '../x509/csr.ts';
import { generateEcKey, type KeyPair } from '../x509/key.ts';
import { createTrustStore, verifyLeaf } from '../x509/verify.ts';

/** Mesh Secrets in memory. `failAfter` makes `createTogether` break before it commits, as a crash would. */
export interface MemorySecrets extends SecretAccess {
  readonly values: Map<string, Buffer>;
  breakNextCreate(): void;
}

export function createMemorySecrets(initial: Readonly<Record<string, string>> = {}, mesh = 'default'): MemorySecrets {
  const values = new Map(Object.entries(initial).map(([name, text]) => [`${mesh}/${name}`, Buffer.from(text)]));
  let broken = false;
  return {
    values,
    breakNextCreate() {
      broken = true;
    },
    read: async (owner, name) => values.get(`${owner}/${name}`),
    async createTogether(owner, secrets) {
      const names = [...secrets.keys()].map((name) => `${owner}/${name}`);
      if (names.some((name) => values.has(name))) return false;
      if (broken) {
        broken = false;
        throw new Error('the store went away');
      }
      for (const [name, value] of secrets) values.set(`${owner}/${name}`, Buffer.from(value));
      return true;
    },
  };
}

/** Records of requests under way, in memory. */
export function createMemoryPending(): PendingRecords & { readonly values: ReadonlyMap<string, PendingRecord> } {
  const values = new Map<string, PendingRecord>();
  return {
    values,
    find: async (mesh, proxy) => values.get(`${mesh}/${proxy}`),
    save: (record) => void values.set(`${record.mesh}/${record.proxy}`, structuredClone(record)),
    remove: (mesh, proxy) => void values.delete(`${mesh}/${proxy}`),
  };
}

/** Dependencies of a backend kind in a test: no files, real time unless given. */
export function createCaDependencies(change: Partial<CaDependencies> = {}): CaDependencies {
  return {
    secrets: createMemorySecrets(),
    readFile: async (path) => {
      throw new Error(`open ${path}: reading files is not allowed`);
    },
    now: Date.now,
    egress: createEgress({ allowedEndpoints: [] }),
    ...change,
  };
}

/** A request as `identity/` makes it, for `spiffe://<mesh>/web`. */
export function createRequest(
  mesh: string,
  change: Partial<SigningRequest> = {},
): SigningRequest & { readonly keys: KeyPair } {
  const keys = generateEcKey();
  const uriSans = change.uriSans ?? [
    `spiffe://${mesh}/web`,
    'kuma://kuma.io/protocol/http',
    'kuma://kuma.io/service/web',
  ];
  return {
    proxy: 'web-1',
    csr: (names) => createCsr(keys.privateKey, uriSans, names),
    publicKey: keys.publicKey,
    uriSans,
    lifetimeMs: 3_600_000,
    timeoutMs: 10_000,
    ...change,
    keys,
  };
}

/** One configured backend under test, whatever must exist for it in place. */
export interface CaHarness {
  readonly kind: CaBackendKind;
  readonly config: BackendConfig;
  readonly deps: CaDependencies;
}

/** What every CA backend has to keep, run on each of them. */
export function describeCaBackend(name: string, createHarness: () => Promise<CaHarness>): void {
  describe(`${name} as a CA backend`, () => {
    const signal = new AbortController().signal;
    let harness: CaHarness;
    let backend: CaBackend;
    beforeEach(async () => {
      harness = await createHarness();
      await harness.kind.ensure?.(harness.config, harness.deps);
      backend = harness.kind.open(harness.config, harness.deps);
    });
    const { mesh } = { mesh: 'default' };

    it('has a configuration that its own kind accepts', async () => {
      expect(await harness.kind.validate(harness.config, 'mtls.backends[0].conf', harness.deps)).toEqual([]);
    });

    it('signs a leaf that passes every check against its trust anchors', async () => {
      const request = createRequest(mesh);
      const chain = await backend.sign(request, signal);
      const anchors = await backend.trustAnchors(signal);
      const expected = { keys: keyOf(chain, request.keys), uriSans: request.uriSans, now: harness.deps.now() };
      const verdict = await verifyLeaf(chain.pem, { ...expected, trust: await createTrustStore(anchors.pem) });
      expect(verdict).toMatchObject({ ok: true, leaf: { chainPem: chain.pem } });
      if (!verdict.ok) return;
      expect(verdict.leaf.notAfter - harness.deps.now()).toBeLessThanOrEqual(request.lifetimeMs);
      expect(verdict.leaf.notAfter - harness.deps.now()).toBeGreaterThan(request.lifetimeMs - 5000);
      expect(verdict.leaf.notBefore).toBeLessThan(harness.deps.now());
    });

    it('never lets a leaf outlive its CA', async () => {
      const { notAfter } = await backend.trustAnchors(signal);
      const request = createRequest(mesh, { lifetimeMs: 1000 * 365 * 86_400_000 });
      const chain = await backend.sign(request, signal);
      const trust = await createTrustStore((await backend.trustAnchors(signal)).pem);
      const now = harness.deps.now();
      const verdict = await verifyLeaf(chain.pem, {
        keys: keyOf(chain, request.keys),
        uriSans: request.uriSans,
        now,
        trust,
      });
      if (!verdict.ok) expect.fail(verdict.message);
      expect(verdict.leaf.notAfter).toBeLessThanOrEqual(notAfter);
      // A signer elsewhere is asked for a little less: it counts from when it signs.
      expect(verdict.leaf.notAfter).toBeGreaterThan(notAfter - 60_000);
    });

    it('gives each leaf its own serial', async () => {
      const chains = await Promise.all(Array.from({ length: 20 }, () => backend.sign(createRequest(mesh), signal)));
      const serials = chains.map(({ pem }) => parseCertificates(pem)[0]!.toString('hex').slice(0, 80));
      expect(new Set(serials).size).toBe(20);
    });

    it('answers the same trust anchors each time, certificates only', async () => {
      const [first, second] = await Promise.all([backend.trustAnchors(signal), backend.trustAnchors(signal)]);
      expect(second).toEqual(first);
      expect(parseCertificates(first.pem).length).toBeGreaterThan(0);
      expect(first.pem).not.toContain('KEY');
    });

    it('does nothing for a cancelled caller', async () => {
      const aborted = AbortSignal.abort();
      await expect(backend.sign(createRequest(mesh), aborted)).rejects.toMatchObject({
        name: 'CaError',
        code: 'timeout',
      });
    });

    it('is the same CA when it is opened again', async () => {
      const again = harness.kind.open(harness.config, harness.deps);
      expect(await again.trustAnchors(signal)).toEqual(await backend.trustAnchors(signal));
    });
  });
}
