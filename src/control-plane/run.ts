/**
 * The control plane, put together: what is opened in which order, what is handed to whom, and how it all stops.
 * Start: store, keys and certificates, snapshots, identity, data plane port, API. Stop: the other way round.
 */
import { randomUUID } from 'node:crypto';
import { hostname, uptime } from 'node:os';
import { createProxyAuthenticator } from '../auth/proxy.ts';
import { ensureSigningKey } from '../auth/signing-keys.ts';
import { createTokens } from '../auth/tokens.ts';
import { createUserAuthenticator } from '../auth/users.ts';
import type { CaDependencies } from '../ca/backend.ts';
import { caBackendKinds, createEgress, createFileReader } from '../ca/index.ts';
import { createCaPlugins } from '../ca/plugin/index.ts';
import { ADMIN_CLIENT_SAN } from '../envoy/tls.ts';
import { createIdentityService } from '../identity/service.ts';
import { aggregateInsights } from '../insights/aggregate.ts';
import { createDataplaneInsights } from '../insights/dataplane-insight.ts';
import { sweepStaleProxies } from '../insights/stale.ts';
import { createKeyStreamServer } from '../key-stream/server.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import { createPinoLogger } from '../lib/pino-log.ts';
import { createSteadyClock } from '../lib/steady-clock.ts';
import { aborted } from '../lib/wait.ts';
import { policyKinds } from '../policies/index.ts';
import { createMeshWatcher } from '../push/mesh-watcher.ts';
import { createDataplaneRegistration } from '../push/registration.ts';
import { createXdsSource } from '../push/xds-source.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import type { LabelContext } from '../resources/labels.ts';
import { createRegistry } from '../resources/registry.ts';
import { startDiagnosticsServer } from '../rest/diagnostics.ts';
import { restRoutes } from '../rest/routes.ts';
import { createRestServer } from '../rest/server.ts';
import { isShared } from '../store/store.ts';
import { createGenerationCache } from '../xds/generate.ts';
import { createDataplaneServer, type DataplaneServer } from '../xds-server/dataplane-server.ts';
import { createXdsServer } from '../xds-server/server.ts';
import { createBackendMemories } from './backend-memories.ts';
import { bootstrapDependencies, createBootstrapListener } from './bootstrap-http.ts';
import { parseBroughtDataplane } from './brought-dataplane.ts';
import { caPluginProgram } from './ca-plugins.ts';
import { createCaRotations } from './ca-rotation/ca-rotations.ts';
import { createCertificateSource } from './certificates.ts';
import { clusterCertificate } from './cluster-certificate.ts';
import { type ControlPlaneConfig, maskedConfig } from './config.ts';
import { createDistrustSource, loadDistrust, watchDistrust } from './distrust.ts';
import { defaultMesh, ensureClusterId, ensureEnvoyAdminCa, firstStart } from './first-start.ts';
import { createIdleMemory } from './idle-memory.ts';
import { createInspectSource } from './inspect.ts';
import { createLeafRecords, loadSealingKey } from './leaf-records.ts';
import { createMeshLifecycle } from './mesh-lifecycle.ts';
import { openStore } from './open-store.ts';
import { createOwnCertificateMetrics } from './own-certificates.ts';
import { createOwnState } from './own-state.ts';
import { createPendingLeaves } from './pending-leaves.ts';
import { createMissingMesh, prepareMeshes } from './prepare-meshes.ts';
import { createProxyAccess } from './proxy-access.ts';
import { createRehearsals } from './rehearsals.ts';
import { followCertificate } from './renew-certificate.ts';
import { watchRenewalRequests } from './renewal-requests.ts';
import { createSecretAccess, createTokenSecrets } from './secrets.ts';
import {
  ensureAdminCertificates,
  generalCertificate,
  loadServerCertificate,
  minVersionOf,
  optionalTls,
  pemContext,
} from './server-certificate.ts';
import { loadTokenSettings } from './token-settings.ts';
import { BASED_ON_KUMA, PRODUCT, VERSION } from './version.ts';
import { watchSecrets } from './watch-secrets.ts';

/** Where a started control plane can be reached. */
export interface ControlPlaneInfo {
  readonly apiPort: number | undefined;
  readonly apiTlsPort: number | undefined;
  readonly dataplanePort: number;
  readonly diagnosticsPort: number;
  /** PEM file contents that clients of the TLS ports trust. */
  readonly caPem: string;
}

export interface RunOptions {
  readonly config: ControlPlaneConfig;
  /** Aborting it stops the control plane; `runControlPlane` then resolves. */
  readonly signal: AbortSignal;
  readonly onReady?: (info: ControlPlaneInfo) => void;
  /** Absent: JSON lines on stderr at the configured level. */
  readonly log?: Logger;
  /** The process environment, where the API server of Kubernetes is found. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const STOP_GRACE_MS = 2000;
/** Longest time that the write of a Mesh waits for CAs elsewhere; in a webhook below the 9 s after which it must have answered. */
const REHEARSAL_MS = 10_000;
const REHEARSAL_IN_WEBHOOK_MS = 6000;

/** Runs until `signal` aborts. Rejects when something it needs can't be opened: the message names it and the setting. */
export async function runControlPlane(options: RunOptions): Promise<void> {
  const { config } = options;
  const log = options.log ?? createPinoLogger(config.weft.log.level);
  const clock = systemClock;
  const metrics = createMetrics();
  const instanceId = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const stop = new AbortController();
  const workDir = config.general.workDir;
  const closers: (() => unknown)[] = [];
  const background: Promise<unknown>[] = [];
  const labelContext: LabelContext = {
    mode: 'zone',
    federated: false,
    zone: config.multizone.zone.name,
    environment: config.environment,
  };
  const registry = createRegistry([...coreKinds, ...policyKinds]);
  const policyTypes = policyKinds.map((kind) => kind.type);
  let missing: string | undefined = 'starting';

  try {
    const diagnostics = await startDiagnosticsServer({
      host: config.weft.interfaces.diagnostics,
      port: config.diagnostics.serverPort,
      metrics,
      ready: () => missing,
      ...(config.diagnostics.tlsEnabled
        ? {
            tls: {
              ...pemContext(await loadServerCertificate(config.diagnostics.tlsCertFile, config.diagnostics.tlsKeyFile)),
              minVersion: minVersionOf(config.diagnostics),
            },
          }
        : {}),
    });
    closers.push(() => diagnostics.close());

    // Store, keys, certificates.
    const kubernetes =
      config.environment === 'kubernetes'
        ? await (await import('./kubernetes.ts')).openKubernetes({
            config,
            env: options.env ?? {},
            instanceId,
            clock,
            log,
            metrics,
          })
        : undefined;
    const { store, election } = await (kubernetes === undefined
      ? openStore(config, workDir, clock, log.named('store'))
      : kubernetes.openStore(registry));
    closers.push(async () => {
      await store.close();
      await kubernetes?.close();
    });
    const inPods = await kubernetes?.openProxies();
    const loadGeneral = () =>
      kubernetes === undefined
        ? generalCertificate(config.general, clock.now())
        : clusterCertificate(store, config, clock.now());
    const [server, adminCa, clusterId, sealingKey, tokenSettings] = await Promise.all([
      loadGeneral(),
      ensureEnvoyAdminCa(store, clock.now()),
      ensureClusterId(store),
      loadSealingKey(store, config.weft.identity.sealingKeyFile),
      loadTokenSettings(config),
    ]);
    const admin = await ensureAdminCertificates(adminCa, workDir, ADMIN_CLIENT_SAN, clock.now());
    const { dpProxy, zoneProxy } = config.dpServer.authn;
    const storedSecrets = createTokenSecrets(store);
    const keysReady = Promise.withResolvers<void>();
    keysReady.promise.catch(() => undefined);
    const tokens = createTokens({
      // Asking for keys waits until the first start has made them.
      secrets: {
        readSecret: (mesh, name) => storedSecrets.readSecret(mesh, name),
        listSecretNames: async (mesh, prefix) => {
          await keysReady.promise;
          return storedSecrets.listSecretNames(mesh, prefix);
        },
      },
      now: clock.now,
      settings: tokenSettings,
    });

    // Certificates go by a time that does not jump when somebody sets the machine's clock.
    const steadyClock = createSteadyClock(clock, {
      uptimeMs: () => uptime() * 1000,
      stepped: ({ byMs, believed }) =>
        log.warn('the clock of this machine was set', {
          byMs,
          certificates: believed
            ? 'go by it from now on'
            : `go on by the time before; ${byMs > 0 ? 'they follow in five minutes' : 'restart this control plane when the new time is right'}`,
        }),
    });

    // What a Mesh stands on.
    const plugins = createCaPlugins({
      settings: config.weft.ca.plugins,
      program: caPluginProgram(),
      workDir,
      env: options.env ?? {},
      clock,
      random: Math.random,
      log,
      metrics,
    });
    closers.push(() => plugins.close());
    const caKinds = [...caBackendKinds, ...plugins.kinds];
    const pendingLeaves = createPendingLeaves({ store, clock, log: log.named('identity') });
    closers.push(() => pendingLeaves.close());
    const caDependencies: CaDependencies = {
      secrets: createSecretAccess(store),
      readFile: createFileReader({ allowedFileRoots: config.weft.ca.allowedFileRoots }),
      now: steadyClock.now,
      earliestNow: steadyClock.earliest,
      egress: createEgress({ allowedEndpoints: config.weft.ca.allowedEndpoints }),
      pending: pendingLeaves,
      ...kubernetes?.caDependencies,
    };
    const rehearsals = createRehearsals({
      store,
      caKinds,
      caDependencies,
      onWriteMs: kubernetes === undefined ? REHEARSAL_MS : REHEARSAL_IN_WEBHOOK_MS,
      clock,
      log: log.named('mesh'),
      metrics,
    });
    const meshLifecycle = createMeshLifecycle({
      store,
      caKinds,
      caDependencies,
      rehearse: (mesh, previous) => rehearsals.violations(mesh, previous),
      ensureSigningKey: async (mesh) => {
        await ensureSigningKey(storedSecrets, 'dataplane', mesh);
      },
      unsafeDelete: config.store.unsafeDelete,
    });
    const firstMesh = config.defaults.skipMeshCreation ? undefined : defaultMesh(registry, labelContext);
    background.push(
      firstStart({
        store,
        secrets: storedSecrets,
        tokens: createTokens({ secrets: storedSecrets, now: clock.now }),
        bootstrapAdminToken: config.apiServer.authn.tokens.bootstrapAdminToken,
        // On Kubernetes creating it takes our own webhooks: the leader does it.
        defaultMesh: kubernetes === undefined ? firstMesh : undefined,
      }).then(
        (made) => {
          if (made) log.info('mesh "default" created');
          keysReady.resolve();
        },
        (error: unknown) => {
          log.error('preparing signing keys and the default mesh failed', { error });
          keysReady.reject(error);
        },
      ),
    );

    // From the store to the proxies.
    const watcher = createMeshWatcher({
      store,
      types: ['Mesh', 'Dataplane', ...policyTypes],
      ...(inPods === undefined ? {} : { vips: inPods.vips }),
      clock,
      log: log.named('push'),
    });
    const identity = createIdentityService({
      caKinds,
      caDependencies,
      records: createLeafRecords(store),
      memories: createBackendMemories(store),
      sealingKey,
      clock: steadyClock,
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
      flushDelayMs: Math.min(kubernetes ? 2000 : 250, config.xdsServer.dataplaneStatusFlushInterval),
      newId: randomUUID,
      subscriptionLimit: config.metrics.dataplane.subscriptionLimit,
    });
    const registration = createDataplaneRegistration({
      store,
      clock,
      log: log.named('push'),
      deregistrationDelayMs: config.xdsServer.dataplaneDeregistrationDelay,
    });
    const access = createProxyAccess({
      authenticator: createProxyAuthenticator({
        tokens,
        mode: dpProxy.type || 'dpToken',
        serviceAccounts: inPods?.authenticator,
        zoneMode: zoneProxy.type === 'none' ? 'none' : 'dpToken',
        zone: labelContext.zone,
      }),
      snapshot: (mesh) => watcher.snapshot(mesh),
    });
    const source = createXdsSource({
      watcher,
      identity,
      leafKeyType: config.weft.identity.leafKeyType,
      cache: createGenerationCache({ adminTls: { caPem: adminCa.certPem, ...admin.server }, zone: labelContext.zone }),
      events: insights,
      registration,
      parseDataplane: (text, key) => parseBroughtDataplane(text, key.mesh, key.name, labelContext),
      authenticate: access,
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
    await loadDistrust(store, identity);
    await Promise.all([identity.start(), plugins.started]);
    closers.push(
      () => idleMemory.close(),
      () => source.close(),
      () => identity.close(),
      () => insights.close(),
      () => registration.close(),
      forgetRemoved,
    );
    background.push(watcher.run(stop.signal));
    background.push(
      watchSecrets({
        store,
        tokens,
        identity,
        proxies: source,
        clock,
        log: log.named('mesh'),
        signal: stop.signal,
      }),
    );

    background.push(watchDistrust({ store, identity, clock, log: log.named('identity'), signal: stop.signal }));
    background.push(watchRenewalRequests({ store, identity, clock, log: log.named('identity'), signal: stop.signal }));

    // The data plane port.
    const dataplaneTls = await optionalTls(config.dpServer, server);
    const xds = createXdsServer({ source, log: log.named('xds'), metrics });
    const keyStreams = createKeyStreamServer({ source: source.launchers, clock, log: log.named('keys') });
    const dataplanePort: DataplaneServer = await createDataplaneServer({
      tls: dataplaneTls,
      http: createBootstrapListener(
        bootstrapDependencies({
          config,
          certificate: dataplaneTls,
          store,
          labelContext,
          port: () => dataplanePort.address.port,
        }),
        log.named('bootstrap'),
      ),
      upgrade: keyStreams.upgrade,
      xds,
      host: config.weft.interfaces.dpServer,
      port: config.dpServer.port,
      log,
      minVersion: minVersionOf(config.dpServer),
    });
    closers.push(
      () => dataplanePort.close(STOP_GRACE_MS),
      () => keyStreams.close(),
    );

    const caRotations = createCaRotations({
      store,
      caKinds,
      caDependencies,
      identity,
      dataplanes: (mesh) => watcher.snapshot(mesh)?.dataplanes.values() ?? [],
      clock,
      log: log.named('rotation'),
    });

    // The API.
    const inspect = createInspectSource({
      watcher,
      push: source,
      identity,
      zone: labelContext.zone,
      adminCredentials: { caPem: adminCa.certPem, ...admin.client },
    });
    const apiTls = await optionalTls(config.apiServer.https, server);
    let webhookCertificate: (() => string) | undefined;
    const ownCertificates = () => ({
      server: shown.certPem,
      'server-ca': shown.caPem,
      ...(dataplaneTls === server ? {} : { 'data-plane-port': dataplaneTls.certPem }),
      ...(apiTls === server ? {} : { api: apiTls.certPem }),
      'envoy-admin-ca': adminCa.certPem,
      'envoy-admin-server': admin.server.certPem,
      'envoy-admin-client': admin.client.certPem,
      ...(webhookCertificate === undefined ? {} : { webhooks: webhookCertificate() }),
    });
    const api = createRestServer({
      routes: restRoutes({
        store,
        registry,
        tokens,
        meshLifecycle,
        secretLifecycle: { validateDelete: (secret) => meshLifecycle.validateSecretDelete(secret) },
        inspect,
        rehearsals,
        own: createOwnState({ certificates: ownCertificates, secrets: storedSecrets, tokenSettings }),
        caRotations,
        certificates: createCertificateSource({ store, identity, now: steadyClock.now }),
        distrust: createDistrustSource({ store, identity, now: steadyClock.now }),
        context: { ...labelContext, systemNamespace: config.store.kubernetes.systemNamespace },
        readOnly: config.apiServer.readOnly || kubernetes !== undefined,
        gui: '',
        config: () => maskedConfig(config),
        instance: () => ({
          hostname: hostname(),
          product: PRODUCT,
          version: VERSION,
          instanceId,
          clusterId,
          basedOnKuma: BASED_ON_KUMA,
        }),
        now: clock.now,
      }),
      users: createUserAuthenticator({ tokens, localhostIsAdmin: config.apiServer.authn.localhostIsAdmin }),
      access: config.access.static,
      log: log.named('api'),
      metrics,
      ...(config.apiServer.http.enabled
        ? { http: { host: config.apiServer.http.interface, port: config.apiServer.http.port } }
        : {}),
      ...(config.apiServer.https.enabled
        ? {
            https: {
              host: config.apiServer.https.interface,
              port: config.apiServer.https.port,
              tls: {
                ...pemContext(apiTls),
                minVersion: minVersionOf(config.apiServer.https),
              },
            },
          }
        : {}),
      basePath: config.apiServer.basePath,
      rootUrl: config.apiServer.rootUrl,
      corsAllowedDomains: config.apiServer.corsAllowedDomains,
      readHeaderTimeoutMs: config.apiServer.readHeaderTimeout,
      readTimeoutMs: config.apiServer.readTimeout,
      idleTimeoutMs: config.apiServer.idleTimeout,
    });
    let shown = server;
    background.push(
      followCertificate({
        load: loadGeneral,
        current: server,
        use(certificate) {
          shown = certificate;
          if (dataplaneTls === server) dataplanePort.setCertificate(certificate);
          if (apiTls === server) api.setCertificate(certificate);
        },
        clock,
        log,
        signal: stop.signal,
      }),
    );
    await watcher.synced;
    const addresses = await api.listen();
    closers.push(() => api.close());
    const kubernetesParts = {
      store,
      registry,
      election,
      labelContext,
      meshLifecycle,
      metrics,
      caPem: dataplaneTls.caPem,
      watcher,
      push: source,
      identity,
      caRotations,
    };
    const onKubernetes = await kubernetes?.start(kubernetesParts);
    closers.push(() => onKubernetes?.close());
    if (onKubernetes !== undefined) webhookCertificate = () => onKubernetes.webhookCertificate();
    createOwnCertificateMetrics(metrics, clock.now, ownCertificates);
    background.push(election.run(leaderTasks, stop.signal));

    missing = undefined;
    const info: ControlPlaneInfo = {
      apiPort: addresses.http?.port,
      apiTlsPort: addresses.https?.port,
      dataplanePort: dataplanePort.address.port,
      diagnosticsPort: diagnostics.address.port,
      caPem: server.caPem,
    };
    log.info('control plane is ready', {
      version: VERSION,
      store: store.engine,
      api: info.apiPort,
      apiTls: info.apiTlsPort,
      dataplane: info.dataplanePort,
      diagnostics: info.diagnosticsPort,
      workDir,
      startMs: Math.round(performance.now()),
    });
    options.onReady?.(info);
    await aborted(options.signal);
    log.info('control plane is stopping');

    /** What only one control plane of a store does. */
    async function leaderTasks(signal: AbortSignal): Promise<void> {
      await Promise.all([
        aggregateInsights({
          store,
          clock,
          log: log.named('insights'),
          snapshots: watcher,
          policyTypes: new Set(policyTypes),
          countedTypes: new Set(
            registry
              .list()
              .filter((kind) => !kind.readOnly && !kind.internal)
              .map(({ type }) => type),
          ),
          delayMs: config.metrics.mesh.minResyncInterval,
          signal,
        }),
        sweepStaleProxies({
          store,
          clock,
          log: log.named('insights'),
          instanceId,
          alone: !isShared(store),
          // On Kubernetes a Dataplane ends with its Pod.
          cleanupAgeMs: kubernetes ? Number.POSITIVE_INFINITY : config.runtime.universal.dataplaneCleanupAge,
          signal,
        }),
        prepareMeshes({ store, meshLifecycle, clock, log: log.named('mesh'), signal }),
        caRotations.lead(signal),
        kubernetes && firstMesh && createMissingMesh({ store, mesh: firstMesh, clock, log, signal }),
        kubernetes?.lead(kubernetesParts, signal),
      ]);
    }
  } finally {
    missing = 'stopping';
    // The data plane port and the API end before what they stand on; watches end before the store is closed.
    for (const close of closers.splice(2).reverse()) await close();
    stop.abort();
    await Promise.allSettled(background);
    for (const close of closers.reverse()) await close();
  }
}
