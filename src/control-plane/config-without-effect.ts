/**
 * Keys of Kuma 2.11-2.14 `kuma-cp` that are accepted, so that an existing file starts, and that have no effect here. Using one gives a warning,
 * or an error where going on without it would be less safe, or another deployment, than what was asked for.
 * A key moves from here to `config-keys.ts` with the feature that reads it.
 */

import { envNameOf } from './config-setting.ts';

/** Why keys have no effect; the first prefix that fits counts. */
const REASONS: readonly (readonly [prefix: string, reason: string])[] = [
  [
    'runtime.kubernetes.injector.sidecarContainer.waitForDataplaneReady',
    'containers always wait for a sidecar that is a native one, and cannot wait for another',
  ],
  ['runtime.kubernetes.injector.builtinDNS', 'the proxy answers no DNS in this version'],
  ['multizone', 'multi-zone is not available in this version'],
  ['interCp', 'control planes find each other through the store'],
  ['monitoringAssignmentServer', 'the monitoring assignment server is not available in this version'],
  ['store.cache', 'the store needs no cache: changes are watched'],
  [
    'xdsServer.dataplaneConfigurationRefreshInterval',
    'configuration is pushed when something changes, there is no polling',
  ],
  ['eventBus', 'changes are merged per resource, there is no buffer to size'],
  ['reports', 'usage reports are never sent'],
  ['xdsServer.nackBackoff', 'a refused configuration is not sent again until it changes'],
  ['metrics.mesh.fullResyncInterval', 'insights are counted from changes, there is nothing to resynchronise'],
  ['', 'not available in this version'],
];

/** Keys that are refused when they hold more than an empty value: ignoring them would open what they close. */
const REFUSED = new Set([
  'apiServer.auth.clientCertsDir',
  'apiServer.https.requireClientCert',
  'apiServer.https.tlsCaFile',
  'multizone.zone.globalAddress',
  ...['apiServer.https', 'diagnostics', 'dpServer', 'general'].flatMap((server) => [
    `${server}.tlsCipherSuites`,
    `${server}.tlsMaxVersion`,
  ]),
]);

/** Keys by their section. */
const KEYS: Readonly<Record<string, string>> = {
  'apiServer.gui': 'basePath enabled rootUrl',
  apiServer: 'writeTimeout',
  'apiServer.auth': 'clientCertsDir',
  'apiServer.https': 'requireClientCert tlsCaFile tlsCipherSuites tlsMaxVersion',
  'bootstrapServer.params': 'corefileTemplatePath envoyAdminUnixSocket readinessPort xdsGrpcMaxReceiveMessageBytes',
  coreResources: 'enabled',
  'coreResources.status':
    'meshIdentityInterval meshMultiZoneServiceInterval meshOpenTelemetryBackendInterval meshServiceInterval workloadInterval',
  defaults: 'createMeshRoutingResources skipHostnameGenerators skipTenantResources',
  diagnostics: 'debugEndpoints tlsCipherSuites tlsMaxVersion',
  dnsServer: 'CIDR domain serviceVipEnabled serviceVipPort',
  dpServer: 'gracefulShutdownTimeout readHeaderTimeout tlsCipherSuites tlsMaxVersion',
  'dpServer.hds.checkDefaults': 'healthyThreshold interval noTrafficInterval timeout unhealthyThreshold',
  'dpServer.hds': 'enabled interval refreshInterval',
  eventBus: 'bufferSize',
  experimental:
    'autoReachableServices exposeZoneProxyMetrics inboundTagsDisabled ingressTagFilters kubeOutboundsAsVIPs useTagFirstVirtualOutboundModel',
  'experimental.kdsEventBasedWatchdog': 'delayFullResync enabled flushInterval fullResyncInterval',
  general:
    'certGenerationBaseBackoff certGenerationCircuitBreakerMinProxies certGenerationMaxBackoff dnsCacheTTL resilientComponentBaseBackoff resilientComponentMaxBackoff tlsCipherSuites tlsMaxVersion',
  'interCp.catalog': 'heartbeatInterval instanceAddress instanceVersion writerInterval',
  'interCp.server': 'port tlsCipherSuites tlsMaxVersion tlsMinVersion',
  ipam: 'allocationInterval knownInternalCIDRs',
  'ipam.meshExternalService': 'cidr',
  'ipam.meshMultiZoneService': 'cidr',
  'ipam.meshService': 'cidr',
  meshService: 'deletionGracePeriod generationInterval',
  'meshService.labelPropagation': 'allowedLabelKeys enabled',
  'metrics.controlPlane': 'reportResourcesCount',
  'metrics.dataplane': 'idleTimeout',
  'metrics.mesh': 'bufferSize eventProcessors fullResyncInterval maxResyncTimeout minResyncTimeout',
  'metrics.openTelemetry': 'enabled',
  'metrics.zone': 'compactFinishedSubscriptions idleTimeout subscriptionLimit',
  monitoringAssignmentServer:
    'apiVersions assignmentRefreshInterval defaultFetchTimeout enabled port tlsCertFile tlsCipherSuites tlsEnabled tlsKeyFile tlsMaxVersion tlsMinVersion',
  'multizone.global.kds':
    'grpcPort logPayloads maxMsgSize msgSendTimeout nackBackoff refreshInterval responseBackoff tlsCertFile tlsCipherSuites tlsEnabled tlsKeyFile tlsMaxVersion tlsMinVersion zoneInsightFlushInterval',
  'multizone.global.kds.labels': 'skipPrefixes',
  'multizone.global.kds.tracing': 'enabled',
  'multizone.global.kds.zoneHealthCheck': 'closeStaleConn pollInterval timeout',
  'multizone.zone': 'disableOriginLabelValidation globalAddress ingressUpdateInterval',
  'multizone.zone.kds.labels': 'skipPrefixes',
  'multizone.zone.kds':
    'logPayloads maxMsgSize msgSendTimeout nackBackoff refreshInterval responseBackoff rootCaFile tlsSkipVerify',
  policies: 'pluginPoliciesEnabled',
  'proxy.gateway': 'globalDownstreamMaxConnections',
  reports: 'enabled',
  'runtime.kubernetes':
    'disallowMultipleMeshesPerNamespace marshalingCacheExpirationTime skipMeshOwnerReference supportGatewaySecretsInAllNamespaces workloadLabels',
  'runtime.kubernetes.clientConfig': 'burstQps qps',
  'runtime.kubernetes.injector':
    'applicationProbeProxyPort cniEnabled otelPipeEnabled transparentProxyConfigMap unifiedResourceNamingEnabled',
  'runtime.kubernetes.injector.builtinDNS': 'enabled experimentalProxy logging port',
  'runtime.kubernetes.injector.ebpf':
    'bpffsPath cgroupPath enabled instanceIPEnvVarName programsSourcePath tcAttachIface',
  'runtime.kubernetes.injector.sidecarContainer': 'waitForDataplaneReady',
  'runtime.kubernetes.injector.sidecarContainer.readinessProbe': 'successThreshold',
  'runtime.kubernetes.injector.spire': 'enabled mountPath socketFileName',
  'runtime.kubernetes.injector.validationContainer.resources.limits': 'cpu memory',
  'runtime.kubernetes.injector.validationContainer.resources.requests': 'cpu memory',
  'runtime.kubernetes.leaderElection': 'leaseDuration renewDeadline',
  'runtime.kubernetes.nodeTaintController': 'cniApp cniNamespace enabled',
  'runtime.universal.spire': 'socketPath',
  'runtime.universal': 'vipRefreshInterval zoneResourceCleanupAge',
  'runtime.universal.workload': 'generationInterval',
  'store.cache': 'enabled expirationTime',
  'store.postgres':
    'driverName healthCheckInterval maxConnectionLifetimeJitter maxIdleConnections maxListQueryElements tolerateNewerDBVersions',
  'store.postgres.readReplica': 'host port ratio',
  'store.postgres.tls': 'disableSSLSNI',
  'store.upsert': 'conflictRetryBaseBackoff conflictRetryJitterPercent conflictRetryMaxTimes',
  'tracing.openTelemetry': 'enabled endpoint',
  xdsServer: 'dataplaneConfigurationRefreshInterval nackBackoff',
};

/** Environment names that do not follow from the path: a path prefix and what stands for it. */
const ENV_PREFIXES: readonly (readonly [path: string, env: string])[] = [
  ['dpServer.hds.checkDefaults', 'KUMA_DP_SERVER_HDS_CHECK'],
  ['metrics.openTelemetry', 'KUMA_METRICS_OPENTELEMETRY'],
  ['tracing.openTelemetry', 'KUMA_TRACING_OPENTELEMETRY'],
  ['policies.pluginPoliciesEnabled', 'KUMA_PLUGIN_POLICIES_ENABLED'],
  ['runtime.kubernetes.injector.validationContainer', 'KUMA_INJECTOR_VALIDATION_CONTAINER'],
  [
    'runtime.kubernetes.injector.transparentProxyConfigMap',
    'KUMA_RUNTIME_KUBERNETES_INJECTOR_TRANSPARENT_PROXY_CONFIGMAP_NAME',
  ],
  ['runtime.kubernetes.injector.applicationProbeProxyPort', 'KUMA_RUNTIME_KUBERNETES_APPLICATION_PROBE_PROXY_PORT'],
];

export interface KeyWithoutEffect {
  readonly path: string;
  readonly env: string;
  readonly reason: string;
  /** True: more than an empty value is an error. */
  readonly refused: boolean;
}

/** All of them, by section. */
export function keysWithoutEffect(): readonly KeyWithoutEffect[] {
  return Object.entries(KEYS).flatMap(([section, names]) =>
    names.split(' ').map((name) => {
      const path = `${section}.${name}`;
      const reason = REASONS.find(([prefix]) => path.startsWith(prefix))![1];
      return { path, env: envName(path), reason, refused: REFUSED.has(path) };
    }),
  );
}

function envName(path: string): string {
  const rule = ENV_PREFIXES.find(([prefix]) => path === prefix || path.startsWith(`${prefix}.`));
  if (rule === undefined) return envNameOf(path);
  const rest = path.slice(rule[0].length);
  return rest === '' ? rule[1] : rule[1] + envNameOf(`x${rest}`).slice('KUMA_X'.length);
}

/** Whether a value of a refused key asks for nothing: the default of Kuma. */
export function asksForNothing(value: unknown): boolean {
  return (
    [null, undefined, '', false, 'false', '0'].includes(value as string) || (Array.isArray(value) && value.length === 0)
  );
}
