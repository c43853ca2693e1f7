import { randomBytes } from 'node:crypto';
import type { CaBackendKind, CaDependencies } from '../ca/backend.ts';
import type {
  DesiredIdentity,
  HeldLeaf,
  IdentityEvent,
  IdentityService,
  IssuanceFailure,
} from '../identity/identity.ts';
import type { LeafRecord } from '../identity/sealed.ts';
import { createIdentityService } from '../identity/service.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { createMetrics, type Metrics } from '../lib/metrics.ts';
import type { MeshMtls } from '../resources/kinds/mesh.ts';

/** One control plane as far as issuance goes, for one mesh `default` with one backend. Records outlive it when they are handed on. */
export interface IssuanceWorld extends AsyncDisposable {
  readonly identity: IdentityService;
  readonly events: readonly IdentityEvent[];
  readonly metrics: Metrics;
  /** Sets the Mesh to this one backend. */
  use(conf: Readonly<Record<string, unknown>>): void;
  /** What the proxy `web-1` of service `web` shall have. */
  want(proxy: string, change?: Partial<DesiredIdentity>): void;
  leaf(proxy: string): HeldLeaf | undefined;
  failure(proxy: string): IssuanceFailure | undefined;
  /** Of the one backend. */
  backend(): ReturnType<IdentityService['backends']>[number] | undefined;
  close(): Promise<void>;
}

export async function createIssuanceWorld(options: {
  readonly kind: CaBackendKind;
  readonly deps: CaDependencies;
  readonly metrics?: Metrics;
  readonly records?: Map<string, LeafRecord>;
  readonly sealingKey?: Buffer;
}): Promise<IssuanceWorld> {
  const { kind, records = new Map<string, LeafRecord>(), sealingKey = randomBytes(32) } = options;
  const { metrics = createMetrics() } = options;
  const name = `${kind.type}-1`;
  const identity = createIdentityService({
    caKinds: [kind],
    caDependencies: options.deps,
    memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    records: {
      load: async () => [...records.values()],
      async save(saved) {
        for (const record of saved) records.set(record.proxy.name, record);
      },
      async remove(proxies) {
        for (const proxy of proxies) records.delete(proxy.name);
      },
    },
    sealingKey,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
    metrics,
  });
  await identity.start();
  const events: IdentityEvent[] = [];
  identity.subscribe((event) => events.push(event));
  const keyOf = (proxy: string) => ({ mesh: 'default', name: proxy });
  const close = () => identity.close();
  return {
    identity,
    events,
    metrics,
    use(conf) {
      const mtls: MeshMtls = { enabledBackend: name, backends: [{ name, type: kind.type, conf }] };
      identity.setMesh('default', mtls);
    },
    want(proxy, change = {}) {
      const service = proxy.replace(/-\d+$/, '');
      identity.want(keyOf(proxy), {
        backend: name,
        uriSans: [`spiffe://default/${service}`, `kuma://kuma.io/service/${service}`],
        lifetimeMs: 3_600_000,
        keyType: 'ec-p256',
        ...change,
      });
    },
    leaf: (proxy) => identity.state(keyOf(proxy)).leaf,
    failure: (proxy) => identity.state(keyOf(proxy)).failure,
    backend: () => identity.backends('default')[0],
    close,
    [Symbol.asyncDispose]: close,
  };
}
