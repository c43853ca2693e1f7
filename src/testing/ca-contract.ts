import { describe, expect, it } from 'vitest';
import { CONTRACT_CASES, type ContractSubject } from '../../sdk/src/contract-cases.ts';
import type {
  BackendConfig,
  CaBackendKind,
  CaDependencies,
  PendingRecord,
  PendingRecords,
  SecretAccess,
  SigningRequest,
} from '../ca/backend.ts';
import { createEgress } from '../ca/egress.ts';
import { createCsr } from '../x509/csr.ts';
import { generateEcKey, type KeyPair } from '../x509/key.ts';

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
    async writeTogether(owner, secrets) {
      for (const [name, value] of secrets) values.set(`${owner}/${name}`, Buffer.from(value));
    },
  };
}

/** Records of requests under way, in memory; `initial` are those of a former process. */
export function createMemoryPending(
  initial: ReadonlyMap<string, PendingRecord> = new Map(),
): PendingRecords & { readonly values: ReadonlyMap<string, PendingRecord> } {
  const values = new Map(initial);
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

const TIMEOUT_MS = 10_000;

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
    csr: (names) => createCsr(keys, uriSans, names),
    publicKey: keys.publicKey,
    uriSans,
    lifetimeMs: 3_600_000,
    timeoutMs: TIMEOUT_MS,
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

/** What every CA backend has to keep (`sdk/src/contract-cases.ts`, the same for plug-ins), run on one of ours. */
export function describeCaBackend(name: string, createHarness: () => Promise<CaHarness>): void {
  describe(`${name} as a CA backend`, () => {
    it('has a configuration that its own kind accepts', async () => {
      const { kind, config, deps } = await createHarness();
      await kind.ensure?.(config, deps);
      expect(await kind.validate(config, 'mtls.backends[0].conf', deps)).toEqual([]);
    });
    it.each(CONTRACT_CASES)('$title', async ({ run }) => run(contractSubject(await createHarness())));
  });
}

function contractSubject({ kind, config, deps }: CaHarness): ContractSubject {
  return {
    mesh: config.mesh,
    now: deps.now,
    async open() {
      await kind.ensure?.(config, deps);
      const backend = kind.open(config, deps);
      return {
        trustAnchors: (signal) => backend.trustAnchors(signal),
        async sign(asked, signal) {
          const { keys, ...wanted } = asked;
          const request = { ...wanted, proxy: 'web-1', publicKey: keys.publicKey, timeoutMs: TIMEOUT_MS };
          const { pem, ...rest } = await backend.sign(request, signal);
          return { chainPem: pem, ...rest };
        },
        checkCancelled: (error) => expect(error).toMatchObject({ name: 'CaError', code: 'timeout' }),
        close: async () => backend.close?.(),
      };
    },
  };
}
