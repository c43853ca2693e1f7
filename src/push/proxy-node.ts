import type { ProxyKey } from '../identity/identity.ts';
import type { ProxyVersions } from '../insights/proxy-events.ts';
import { isJsonObject } from '../resources/plain-json.ts';
import type { ProxyMetadata } from '../xds/generate.ts';
import { type NodeInfo, XdsError } from '../xds-server/xds.ts';

/** What an xDS node says: who it is, how it runs, and the Dataplane it carries. Source: kuma-compat 4.3, metadata keys of the bootstrap. */
export interface ProxyNode {
  readonly key: ProxyKey;
  readonly proxyType: 'dataplane' | 'ingress' | 'egress';
  readonly metadata: ProxyMetadata;
  /** YAML or JSON text of the Dataplane, when the proxy brought one. */
  readonly resourceText: string | undefined;
  readonly versions: ProxyVersions;
}

/** Throws `XdsError` `invalid-argument` when the id is not `<mesh>.<name>` or the proxy type is unknown. */
export function parseProxyNode(node: NodeInfo): ProxyNode {
  const dot = node.id.indexOf('.');
  const mesh = node.id.slice(0, dot);
  const name = node.id.slice(dot + 1);
  if (dot <= 0 || name === '') {
    throw new XdsError(
      'invalid-argument',
      `read node id "${node.id.slice(0, 200)}": expected <mesh>.<name>, as the bootstrap sets it`,
    );
  }
  const meta = node.metadata;
  const proxyType = text(meta['dataplane.proxyType']) || 'dataplane';
  if (proxyType !== 'dataplane' && proxyType !== 'ingress' && proxyType !== 'egress') {
    throw new XdsError('invalid-argument', `read node of ${node.id}: unknown proxy type "${proxyType.slice(0, 50)}"`);
  }
  return {
    key: { mesh, name },
    proxyType,
    resourceText: text(meta['dataplane.resource']) || undefined,
    versions: versionsOf(meta['version'], node),
    metadata: {
      adminPort: port(meta['dataplane.admin.port']),
      adminAddress: text(meta['dataplane.admin.address']),
      readinessPort: port(meta['dataplane.readinessReporter.port']),
      features: Array.isArray(meta['features']) ? meta['features'].filter((item) => typeof item === 'string') : [],
      workdir: text(meta['workdir']),
      // Proxies that say nothing are older than the key, and had IPv6.
      ipv6Enabled: [true, 'true', undefined].some((yes) => meta['ipv6Enabled'] === yes),
      identityFrom: meta['weft.keys'] === 'proxy' ? 'launcher' : 'ads',
      appProbeProxyEnabled: meta['dataplane.appProbeProxy.enabled'] === 'true',
    },
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Ports travel as strings. */
function port(value: unknown): number {
  const number = Number(value);
  return Number.isInteger(number) && number > 0 && number < 65536 ? number : 0;
}

function versionsOf(value: unknown, node: NodeInfo): ProxyVersions {
  const version = isJsonObject(value) ? value : {};
  return {
    ...(isJsonObject(version['kumaDp']) ? { kumaDp: launcherVersion(strings(version['kumaDp'])) } : {}),
    envoy: isJsonObject(version['envoy']) ? flat(version['envoy']) : { version: node.envoyVersion },
    ...(isJsonObject(version['dependencies']) ? { dependencies: strings(version['dependencies']) } : {}),
  };
}

/** Kuma's rule: its own minor version, 2.11 to 2.14 for us, and two around it. Ours start with 0; what is no version is taken for a development build. */
function launcherVersion(given: Readonly<Record<string, string>>): Record<string, string | boolean> {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(given['version'] ?? '') ?? [];
  const kumaCpCompatible =
    major === undefined || major === '0' || (major === '2' && Number(minor) >= 9 && Number(minor) <= 16);
  return { ...given, kumaCpCompatible };
}

function strings(record: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}

function flat(record: Record<string, unknown>): Record<string, string | boolean> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'boolean' ? [[name, value]] : [],
    ),
  );
}
