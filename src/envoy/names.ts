/** Names of generated things. People, dashboards and `kumactl inspect` know them. Source: Kuma 2.11 `pkg/xds/envoy/names`, `tags`. */
import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';

export const SERVICE_TAG = 'kuma.io/service';
export const ADMIN_NAME = 'kuma:envoy:admin';
export const READINESS_CLUSTER = 'kuma:readiness';
export const DIRECT_ACCESS_CLUSTER = 'direct_access';
export const PROBE_LISTENER = 'probe:listener';

type Tags = Readonly<Record<string, string>>;

/** `10.0.0.1:80`, `[::1]:80` */
export function hostPort(address: string, port: number): string {
  return isIPv6(address) || address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function inboundListenerName(address: string, port: number): string {
  return `inbound:${hostPort(address, port)}`;
}

export function outboundListenerName(address: string, port: number): string {
  return `outbound:${hostPort(address, port)}`;
}

/** The application behind an inbound. */
export function localClusterName(workloadPort: number): string {
  return `localhost:${workloadPort}`;
}

/** A port of the application that is asked whether it answers; `service` of gRPC health checking, '' for the whole server and for TCP. */
export function probedClusterName(protocol: 'tcp' | 'grpc', port: number, service: string): string {
  return `probe:${protocol}:${port}${service === '' ? '' : `:${service}`}`;
}

export function inboundRouteName(service: string): string {
  return `inbound:${service}`;
}

export function outboundRouteName(service: string): string {
  return `outbound:${service}`;
}

/** Where an Envoy under `weft dp run` gets its own certificate from: a unix socket of the launcher. In the bootstrap, since Envoy needs it before anything else. */
export const LAUNCHER_KEYS_CLUSTER = 'weft_keys';

export function identitySecretName(mesh: string): string {
  return `identity_cert:secret:${mesh}`;
}

export function trustBundleSecretName(mesh: string): string {
  return `mesh_ca:secret:${mesh}`;
}

/**
 * Cluster of a legacy destination: the service, or `<service>-<16 hex>` when further tags narrow it down.
 * The hash is SHA-256 over keys and values in key order; policies match on it.
 */
export function destinationClusterName(tags: Tags): string {
  const service = tags[SERVICE_TAG] ?? '';
  const keys = Object.keys(tags).sort();
  if (keys.length === 1) return service;
  const hash = createHash('sha256');
  for (const key of keys) hash.update(key).update(tags[key]!);
  return `${service}-${hash.digest('hex').slice(0, 16)}`;
}

/** Fit for StatsD and Prometheus: everything but letters, digits, `_` and `-` becomes `_`. */
export function statName(name: string): string {
  return name.replace(/[^a-zA-Z_\-0-9]/gu, '_');
}

/** `{ altStatName }` when the name itself is no good as a stat name. */
export function altStatName(name: string): { readonly altStatName?: string } {
  const stat = statName(name);
  return stat === name ? {} : { altStatName: stat };
}
