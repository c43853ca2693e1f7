import { hostname } from 'node:os';
import { createUserAuthenticator } from '../auth/users.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { SteadyClock } from '../lib/steady-clock.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import { restRoutes } from '../rest/routes.ts';
import { createRestServer, type RestServer } from '../rest/server.ts';
import type { ResourceStore } from '../store/store.ts';
import type { CaRotationService } from './ca-rotation/ca-rotations.ts';
import type { CaSide } from './ca-side.ts';
import { createCertificateSource } from './certificates.ts';
import { type ControlPlaneConfig, maskedConfig } from './config.ts';
import { createDistrustSource } from './distrust.ts';
import { createInspectSource } from './inspect.ts';
import { apiListeners } from './listeners.ts';
import type { OwnCredentials } from './own-credentials.ts';
import { createOwnState } from './own-state.ts';
import type { ProxySide } from './proxy-side.ts';
import type { ServerCertificate } from './server-certificate.ts';
import type { ShownCertificates } from './shown-certificates.ts';
import type { StoredTokens } from './stored-tokens.ts';
import { BASED_ON_KUMA, PRODUCT, VERSION } from './version.ts';

/** The HTTP API over the parts of the control plane; it does not listen yet. */
export function createApi(options: {
  config: ControlPlaneConfig;
  /** Of the HTTPS listener. */
  tls: ServerCertificate;
  store: ResourceStore;
  registry: Registry;
  credentials: OwnCredentials;
  shown: ShownCertificates;
  stored: StoredTokens;
  cas: Pick<CaSide, 'meshLifecycle' | 'rehearsals'>;
  proxies: ProxySide;
  caRotations: CaRotationService;
  labelContext: LabelContext;
  /** Of this process. */
  instanceId: string;
  now: () => number;
  certificateClock: SteadyClock;
  log: Logger;
  metrics: Metrics;
}): RestServer {
  const { config, store, registry, credentials, stored, proxies, caRotations, labelContext, instanceId } = options;
  const { meshLifecycle, rehearsals } = options.cas;
  const { watcher, identity, source: push } = proxies;
  const { admin, clusterId, tokenSettings } = credentials;
  const certificateTime = options.certificateClock.now;
  return createRestServer({
    routes: restRoutes({
      store,
      registry,
      tokens: stored.tokens,
      meshLifecycle,
      secretLifecycle: { validateDelete: (secret) => meshLifecycle.validateSecretDelete(secret) },
      inspect: createInspectSource({
        watcher,
        push,
        identity,
        zone: labelContext.zone,
        adminCredentials: { caPem: admin.ca.certPem, ...admin.client },
      }),
      rehearsals,
      own: createOwnState({ certificates: options.shown.pems, secrets: stored.secrets, tokenSettings }),
      caRotations,
      certificates: createCertificateSource({ store, identity, now: certificateTime }),
      distrust: createDistrustSource({ store, identity, now: certificateTime }),
      context: { ...labelContext, systemNamespace: config.store.kubernetes.systemNamespace },
      // In a cluster resources are written with kubectl.
      readOnly: config.apiServer.readOnly || config.environment === 'kubernetes',
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
      now: options.now,
    }),
    users: createUserAuthenticator({
      tokens: stored.tokens,
      localhostIsAdmin: config.apiServer.authn.localhostIsAdmin,
    }),
    access: config.access.static,
    log: options.log.named('api'),
    metrics: options.metrics,
    ...apiListeners(config, options.tls),
  });
}
