import type { EnvoyBinary } from './envoy-version.ts';
import type { DataplaneOptions } from './flags.ts';

/** What this program says of itself to the control plane. */
export interface LauncherVersion {
  readonly version: string;
  readonly gitTag: string;
  readonly gitCommit: string;
  readonly buildDate: string;
}

export interface BootstrapRequestInput {
  readonly options: DataplaneOptions;
  readonly mesh: string;
  readonly name: string;
  readonly token: string;
  /** '' when the proxy's resource exists on the control plane. */
  readonly resource: string;
  /** PEM, '' for the machine's own CAs. */
  readonly caCert: string;
  readonly envoy: EnvoyBinary;
  readonly envoyCompatible: boolean;
  readonly launcher: LauncherVersion;
  readonly workdir: string;
  /** Unix socket for Envoy's admin API; '' when its path would be too long. */
  readonly adminSocketPath: string;
  /** Unix socket where Envoy gets its certificate; '': the control plane makes the key. */
  readonly keySocketPath: string;
  /** 0: none. */
  readonly readinessPort: number;
  readonly maxHeapSizeBytes: number;
  readonly systemCaPath: string;
  readonly ipv6Enabled: boolean;
  readonly operatingSystem: string;
  /** Envoy is to read its token from the file at every connection: a token that rotates must not strand it. */
  readonly reloadsToken: boolean;
}

/** Ours: how a proxy asks for `reloadsToken`. */
const RELOADS_TOKEN = 'feature-reloadable-token';

/**
 * Body of `POST /bootstrap`. Source: Kuma 2.11 `pkg/xds/bootstrap/types`. `adminSocketPath` and `keySocketPath` are ours: a control
 * plane that does not know them makes the key itself, and puts Envoy's admin API on a loopback port.
 */
export function buildBootstrapRequest(input: BootstrapRequestInput): Record<string, unknown> {
  const { options, envoy } = input;
  return {
    mesh: input.mesh,
    name: input.name,
    proxyType: options.proxyType,
    ...(input.token && { dataplaneToken: input.token }),
    ...(options.token.kind === 'file' && { dataplaneTokenPath: options.token.path }),
    ...(input.resource && { dataplaneResource: input.resource }),
    version: {
      kumaDp: input.launcher,
      envoy: { version: envoy.version, build: envoy.build, kumaDpCompatible: input.envoyCompatible },
    },
    caCert: input.caCert,
    dynamicMetadata: {},
    ...(input.readinessPort > 0 && { readinessPort: input.readinessPort }),
    operatingSystem: input.operatingSystem,
    features: [
      'feature-delta-grpc',
      ...(options.bindOutbounds ? ['feature-bind-outbounds'] : []),
      ...(input.reloadsToken ? [RELOADS_TOKEN] : []),
    ],
    resources: { maxHeapSizeBytes: input.maxHeapSizeBytes },
    workdir: input.workdir,
    metricsResources: { certPath: options.metricsCertPath, keyPath: options.metricsKeyPath },
    systemCaPath: input.systemCaPath,
    ipv6Enabled: input.ipv6Enabled,
    ...(input.adminSocketPath && { adminSocketPath: input.adminSocketPath }),
    ...(input.keySocketPath && { keySocketPath: input.keySocketPath }),
  };
}
