/**
 * The control plane, put together: what is opened in which order, what is handed to whom, and how it all stops.
 * Start: store (open-store), keys and certificates (own-credentials), CAs (ca-side), snapshots, identity and pushes (proxy-side), data plane port
 * (dataplane-port), API (api), Kubernetes (kubernetes), what only the leader does (leader-tasks). Stop: the other way round.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { createMetrics } from '../lib/metrics.ts';
import { createPinoLogger } from '../lib/pino-log.ts';
import { aborted } from '../lib/wait.ts';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import type { LabelContext } from '../resources/labels.ts';
import { createRegistry } from '../resources/registry.ts';
import { startDiagnosticsServer } from '../rest/diagnostics.ts';
import { createApi } from './api.ts';
import { createCaRotations } from './ca-rotation/ca-rotations.ts';
import { openCaSide } from './ca-side.ts';
import { createCertificateClock } from './certificate-clock.ts';
import type { ControlPlaneConfig } from './config.ts';
import { openDataplanePort } from './dataplane-port.ts';
import { watchDistrust } from './distrust.ts';
import { defaultMesh } from './first-start.ts';
import { runLeaderTasks } from './leader-tasks.ts';
import { diagnosticsListener } from './listeners.ts';
import { openStore } from './open-store.ts';
import { createOwnCertificateMetrics } from './own-certificates.ts';
import { loadOwnCredentials } from './own-credentials.ts';
import { createProxySide } from './proxy-side.ts';
import { followCertificate } from './renew-certificate.ts';
import { watchRenewalRequests } from './renewal-requests.ts';
import { optionalTls } from './server-certificate.ts';
import { createShownCertificates } from './shown-certificates.ts';
import { createStoredTokens } from './stored-tokens.ts';
import { VERSION } from './version.ts';
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

/** Runs until `signal` aborts. Rejects when something it needs can't be opened: the message names it and the setting. */
export async function runControlPlane(options: RunOptions): Promise<void> {
  const { config, env = {} } = options;
  const log = options.log ?? createPinoLogger(config.weft.log.level);
  const clock = systemClock;
  const metrics = createMetrics();
  const instanceId = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const stop = new AbortController();
  const { signal } = stop;
  const { workDir } = config.general;
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
    const listener = await diagnosticsListener(config);
    const diagnostics = await startDiagnosticsServer({ ...listener, metrics, ready: () => missing });
    closers.push(() => diagnostics.close());

    // The store, keys and certificates.
    const kubernetes =
      config.environment === 'kubernetes'
        ? await (await import('./kubernetes.ts')).openKubernetes({ config, env, instanceId, clock, log, metrics })
        : undefined;
    const { store, election } = await (kubernetes === undefined
      ? openStore(config, workDir, clock, log.named('store'))
      : kubernetes.openStore(registry));
    closers.push(async () => {
      await store.close();
      await kubernetes?.close();
    });
    const inPods = await kubernetes?.openProxies();
    const credentials = await loadOwnCredentials({ config, store, now: clock.now });
    const stored = createStoredTokens({ store, settings: credentials.tokenSettings, now: clock.now, log });
    const { tokens } = stored;
    const certificateClock = createCertificateClock(clock, log);

    // What a Mesh stands on.
    const cas = openCaSide({
      config,
      env,
      store,
      secrets: stored.secrets,
      ofCluster: kubernetes?.caDependencies,
      clock,
      certificateClock,
      log,
      metrics,
    });
    closers.push(() => cas.close());
    const { caKinds, caDependencies, meshLifecycle } = cas;
    const firstMesh = config.defaults.skipMeshCreation ? undefined : defaultMesh(registry, labelContext);
    background.push(
      stored.prepare({
        bootstrapAdminToken: config.apiServer.authn.tokens.bootstrapAdminToken,
        // On Kubernetes creating it takes our own webhooks: the leader does it.
        defaultMesh: kubernetes === undefined ? firstMesh : undefined,
      }),
    );

    // From the store to the proxies.
    const proxies = createProxySide({
      config,
      store,
      credentials,
      tokens,
      cas,
      inPods,
      policyTypes,
      labelContext,
      instanceId,
      clock,
      certificateClock,
      log,
      metrics,
    });
    const { watcher, identity, source } = proxies;
    await Promise.all([proxies.start(), cas.started]);
    closers.push(() => proxies.close());
    background.push(
      watcher.run(signal),
      watchSecrets({ store, tokens, identity, proxies: source, clock, log: log.named('mesh'), signal }),
      watchDistrust({ store, identity, clock, log: log.named('identity'), signal }),
      watchRenewalRequests({ store, identity, clock, log: log.named('identity'), signal }),
    );

    // The data plane port.
    const { server } = credentials;
    const dataplaneTls = await optionalTls(config.dpServer, server);
    const dataplanePort = await openDataplanePort({
      config,
      tls: dataplaneTls,
      store,
      source,
      labelContext,
      clock,
      log,
      metrics,
    });
    closers.push(() => dataplanePort.close());

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
    const apiTls = await optionalTls(config.apiServer.https, server);
    const shown = createShownCertificates({ credentials, dataplanePort: dataplaneTls, api: apiTls });
    const api = createApi({
      config,
      tls: apiTls,
      store,
      registry,
      credentials,
      shown,
      stored,
      cas,
      proxies,
      caRotations,
      labelContext,
      instanceId,
      now: clock.now,
      certificateClock,
      log,
      metrics,
    });
    background.push(
      followCertificate({
        load: credentials.reloadServer,
        current: server,
        use(certificate) {
          shown.replaced(certificate);
          if (dataplaneTls === server) dataplanePort.setCertificate(certificate);
          if (apiTls === server) api.setCertificate(certificate);
        },
        clock,
        log,
        signal,
      }),
    );
    await watcher.synced;
    const addresses = await api.listen();
    closers.push(() => api.close());

    // What is only on Kubernetes, and what only the leader does.
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
    if (onKubernetes !== undefined) shown.withWebhooks(() => onKubernetes.webhookCertificate());
    createOwnCertificateMetrics(metrics, clock.now, shown.pems);
    const lead = (leading: AbortSignal) =>
      runLeaderTasks({
        config,
        store,
        registry,
        policyTypes,
        watcher,
        meshLifecycle,
        caRotations,
        missingMesh: kubernetes && firstMesh,
        leadCluster: kubernetes && ((cluster) => kubernetes.lead(kubernetesParts, cluster)),
        instanceId,
        clock,
        log,
        signal: leading,
      });
    background.push(election.run(lead, signal));

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
  } finally {
    missing = 'stopping';
    // The data plane port and the API end before what they stand on; watches end before the store is closed.
    for (const close of closers.splice(2).reverse()) await close();
    stop.abort();
    await Promise.allSettled(background);
    for (const close of closers.reverse()) await close();
  }
}
