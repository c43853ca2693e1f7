import { randomUUID } from 'node:crypto';
import { createProxyAuthenticator, type ProxyAuthenticator } from '../auth/proxy.ts';
import type { Tokens } from '../auth/tokens.ts';
import type { IdentityService } from '../identity/identity.ts';
import { createIdentityService } from '../identity/service.ts';
import { createDataplaneInsights } from '../insights/dataplane-insight.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { SteadyClock } from '../lib/steady-clock.ts';
import type { ServiceVips } from '../mesh/vips.ts';
import { createMeshWatcher, type MeshWatcher } from '../push/mesh-watcher.ts';
import { createDataplaneRegistration } from '../push/registration.ts';
import { createXdsSource, type PushSource } from '../push/xds-source.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { ResourceStore } from '../store/store.ts';
import { createGenerationCache } from '../xds/generate.ts';
import { createBackendMemories } from './backend-memories.ts';
import { parseBroughtDataplane } from './brought-dataplane.ts';
import type { CaSide } from './ca-side.ts';
import type { ControlPlaneConfig } from './config.ts';
import { loadDistrust } from './distrust.ts';
import { createIdleMemory } from './idle-memory.ts';
import { createLeafRecords } from './leaf-records.ts';
import type { OwnCredentials } from './own-credentials.ts';
import { createProxyAccess } from './proxy-access.ts';

/** From the store to the proxies: snapshots of meshes, leaves, pushes, and what comes back. */
export interface ProxySide {
  readonly watcher: MeshWatcher;
  readonly identity: IdentityService;
  readonly source: PushSource;
  /** Reads the leaves and the distrust of a former run. The watcher runs on its own. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createProxySide(options: {
  config: ControlPlaneConfig;
  store: ResourceStore;
  credentials: Pick<OwnCredentials, 'admin' | 'sealingKey'>;
  tokens: Tokens;
  cas: Pick<CaSide, 'caKinds' | 'caDependencies'>;
  /** Services and ServiceAccounts, on Kubernetes. */
  inPods: { readonly vips: ServiceVips; readonly authenticator: ProxyAuthenticator } | undefined;
  policyTypes: readonly string[];
  labelContext: LabelContext;
  /** Of this process. */
  instanceId: string;
  clock: Clock;
  certificateClock: SteadyClock;
  log: Logger;
  metrics: Metrics;
}): ProxySide {
  const { config, store, credentials, tokens, cas, inPods, labelContext, instanceId, clock, log, metrics } = options;
  const { zone } = labelContext;
  const { dpProxy, zoneProxy } = config.dpServer.authn;
  const watcher = createMeshWatcher({
    store,
    types: ['Mesh', 'Dataplane', ...options.policyTypes],
    ...(inPods === undefined ? {} : { vips: inPods.vips }),
    clock,
    log: log.named('push'),
  });
  const identity = createIdentityService({
    caKinds: cas.caKinds,
    caDependencies: cas.caDependencies,
    records: createLeafRecords(store),
    memories: createBackendMemories(store),
    sealingKey: credentials.sealingKey,
    clock: options.certificateClock,
    random: Math.random,
    log: log.named('identity'),
    metrics,
  });
  const insights = createDataplaneInsights({
    store,
    clock,
    log: log.named('insights'),
    instanceId,
    identityState: (proxy) => identity.state(proxy),
    exists: (proxy) => watcher.snapshot(proxy.mesh)?.dataplanes.has(proxy.name) ?? false,
    // In a cluster each insight is a call of its own: what changes within two seconds is one.
    flushDelayMs: Math.min(
      config.environment === 'kubernetes' ? 2000 : 250,
      config.xdsServer.dataplaneStatusFlushInterval,
    ),
    newId: randomUUID,
    subscriptionLimit: config.metrics.dataplane.subscriptionLimit,
  });
  const registration = createDataplaneRegistration({
    store,
    clock,
    log: log.named('push'),
    deregistrationDelayMs: config.xdsServer.dataplaneDeregistrationDelay,
  });
  const { ca, server } = credentials.admin;
  const source = createXdsSource({
    watcher,
    identity,
    leafKeyType: config.weft.identity.leafKeyType,
    cache: createGenerationCache({ adminTls: { caPem: ca.certPem, ...server }, zone }),
    events: insights,
    registration,
    parseDataplane: (text, key) => parseBroughtDataplane(text, key.mesh, key.name, labelContext),
    authenticate: createProxyAccess({
      authenticator: createProxyAuthenticator({
        tokens,
        mode: dpProxy.type || 'dpToken',
        serviceAccounts: inPods?.authenticator,
        zoneMode: zoneProxy.type === 'none' ? 'none' : 'dpToken',
        zone,
      }),
      snapshot: (mesh) => watcher.snapshot(mesh),
    }),
    clock,
    log: log.named('push'),
  });
  const forgetRemoved = watcher.subscribe((update) => {
    for (const name of update.touchedDataplanes) {
      if (!update.snapshot.dataplanes.has(name)) insights.removed({ mesh: update.mesh, name });
    }
  });
  const idleMemory = createIdleMemory(clock);
  watcher.subscribe(() => idleMemory.touch());
  identity.subscribe(() => idleMemory.touch());
  return {
    watcher,
    identity,
    source,
    async start() {
      await loadDistrust(store, identity);
      await identity.start();
    },
    async close() {
      forgetRemoved();
      await registration.close();
      await insights.close();
      await identity.close();
      source.close();
      idleMemory.close();
    },
  };
}
