import type { IdentitySource } from '../envoy/tls.ts';
import type { MeshSnapshot, ServiceView } from '../mesh/snapshot.ts';
import { type DataplaneSpec, isBuiltinGateway } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceSet } from '../xds-server/xds.ts';
import type { GenerationMemos, ProxyMemo } from './cache.ts';
import { GenerateError } from './error.ts';
import { type Distrust, type MeshFeatures, meshFeatures } from './mesh-features.ts';
import { createResourceCollector } from './resource-set.ts';
import { addAdmin } from './sidecar/admin.ts';
import { type SidecarContext, trafficRedirect } from './sidecar/context.ts';
import { addDirectAccess } from './sidecar/direct-access.ts';
import { addInbounds } from './sidecar/inbound.ts';
import { addOutbounds } from './sidecar/outbound.ts';
import { addPassthrough } from './sidecar/passthrough.ts';
import { addProbes } from './sidecar/probes.ts';
import { addVipOutbounds } from './sidecar/vip-outbounds.ts';

export { createGenerationCache, type GenerationCacheOptions, MASKED_ADMIN_TLS } from './cache.ts';
export { GenerateError } from './error.ts';
export { isAdminApiPlain } from './sidecar/admin.ts';

/** What the proxy said of itself in the xDS node metadata (put there by the bootstrap). */
export interface ProxyMetadata {
  /** 0: no admin API. */
  readonly adminPort: number;
  /** Loopback address of Envoy's admin API; '' means 127.0.0.1. A path starting with `/` is a unix socket made by `weft dp run`. */
  readonly adminAddress: string;
  /** 0: none. */
  readonly readinessPort: number;
  readonly features: readonly string[];
  readonly workdir: string;
  readonly ipv6Enabled: boolean;
  /** The launcher serves the application's probes itself. Absent: no. */
  readonly appProbeProxyEnabled?: boolean;
  /** Where it gets its own certificate from. Absent: over ADS. */
  readonly identityFrom?: IdentitySource;
}

/** Server side of the Envoy admin listener: only a client with a certificate of this CA gets in. */
export interface AdminTls {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface ProxyInput {
  readonly dataplane: Resource<DataplaneSpec>;
  readonly metadata: ProxyMetadata;
}

export interface Generated {
  /** Clusters, endpoints, listeners, routes. No secrets: they are added per proxy by `identitySecret` and `trustBundleSecret`. */
  readonly resources: ResourceSet;
  /** `kuma.io/service` values whose endpoints are in it; a change of another service can't change the result. `all`: those of every service of the mesh (transparent proxy without reachable services). */
  readonly services: ReadonlySet<string> | 'all';
}

/**
 * Shares encoded resources between proxies and between runs: same inputs (by identity), same object out.
 * One per control plane; bounded by what the current snapshots hold (WeakMaps), so it needs no sweeping.
 */
export interface GenerationCache {
  readonly adminTls: AdminTls | undefined;
  /** Zone of this control plane; `undefined`: none is preferred. */
  readonly zone: string | undefined;
  readonly internalCidrs: readonly string[];
  /** Only generation itself looks in here. */
  readonly memos: GenerationMemos;
}

export interface GenerateOptions {
  /** Shadow policies take part: a view of what would be, never remembered. */
  readonly shadow?: boolean;
  /**
   * True when every proxy of the service already takes mesh TLS. Asked in PERMISSIVE mode only, where clients go on in plain text until then, so
   * that switching mTLS on breaks no request; in STRICT mode there is nothing but TLS. Absent: all are ready. Source: Kuma 2.11 `TLSReadiness`.
   */
  readonly tlsReady?: (service: string) => boolean;
  /** Absent: nothing is distrusted. */
  readonly distrust?: Distrust;
}

/** The kind whose policies are in here so far. */
const PERMISSIONS = 'MeshTrafficPermission';

/**
 * Everything one sidecar's Envoy should have. Pure but for the cache, which changes no result; equal input gives equal bytes. When nothing it
 * depends on changed since the last call for the same `metadata` object, the last result itself is returned; a type whose resources are all as
 * before keeps its map. Throws `GenerateError`.
 */
export function generateSidecar(
  proxy: ProxyInput,
  snapshot: MeshSnapshot,
  cache: GenerationCache,
  options: GenerateOptions = {},
): Generated {
  const { dataplane, metadata } = proxy;
  const { memos } = cache;
  const shadow = options.shadow ?? false;
  const mesh = meshFeatures(snapshot, memos, metadata.identityFrom ?? 'ads', options.distrust);
  const permissions = snapshot.policies.get(PERMISSIONS) ?? memos.noPolicies;
  const clientTls = clientTlsOf(mesh, options.tlsReady);
  const known = memos.proxies.get(metadata);
  const before = known?.mesh === snapshot.name && known.name === dataplane.meta.name ? known : undefined;
  if (!shadow && before !== undefined && isCurrent(before, dataplane, snapshot, mesh, permissions, clientTls)) {
    return before.generated;
  }
  const generated = generate(
    {
      dataplane,
      networking: dataplane.spec.networking ?? {},
      metadata,
      snapshot,
      mesh,
      permissions,
      shadow,
      clientTls,
      cache,
      redirect: trafficRedirect(dataplane.spec, metadata),
    },
    before?.generated,
  );
  if (!shadow) {
    memos.proxies.set(metadata, {
      mesh: snapshot.name,
      name: dataplane.meta.name,
      spec: dataplane.spec,
      labels: dataplane.meta.labels,
      features: mesh,
      policies: permissions,
      views: viewsOf(generated.services, snapshot),
      inPlainText: inPlainText(generated.services, snapshot, clientTls),
      services: snapshot.services,
      vips: snapshot.vips,
      generated,
    });
  }
  return generated;
}

function generate(context: SidecarContext, before: Generated | undefined): Generated {
  if (isBuiltinGateway(context.dataplane.spec)) {
    throw new GenerateError(
      'networking.gateway.type',
      `generate configuration of dataplane "${context.dataplane.meta.name}": builtin gateways are not supported`,
    );
  }
  const out = createResourceCollector(context.cache.memos.layers);
  const services = new Set<string>();
  addAdmin(context, out);
  addPassthrough(context, out);
  addInbounds(context, out);
  addOutbounds(context, out, services);
  const vips = addVipOutbounds(context, out);
  const direct = addDirectAccess(context, out, vips.places);
  addProbes(context, out);
  for (const some of [vips.services, direct]) if (some !== 'all') for (const service of some) services.add(service);
  const resources = out.finish(before?.resources);
  const used = direct === 'all' || vips.services === 'all' ? 'all' : services;
  if (before !== undefined && resources === before.resources && sameServices(used, before.services)) return before;
  return { resources, services: used };
}

/** True when everything that `memo` was made from is still the same object, or says the same. */
function isCurrent(
  memo: ProxyMemo,
  dataplane: Resource<DataplaneSpec>,
  snapshot: MeshSnapshot,
  mesh: MeshFeatures,
  permissions: readonly Resource[],
  clientTls: SidecarContext['clientTls'],
): boolean {
  if (memo.spec !== dataplane.spec || memo.labels !== dataplane.meta.labels) return false;
  if (memo.features.key !== mesh.key || memo.policies !== permissions || memo.vips !== snapshot.vips) return false;
  if (memo.generated.services === 'all' && memo.services !== snapshot.services) return false;
  for (const [service, view] of memo.views) if (snapshot.services.get(service) !== view) return false;
  return memo.inPlainText === inPlainText(memo.generated.services, snapshot, clientTls);
}

function clientTlsOf({ mtls }: MeshFeatures, tlsReady: GenerateOptions['tlsReady']): SidecarContext['clientTls'] {
  switch (mtls) {
    case 'off':
      return () => false;
    case 'STRICT':
      return () => true;
    case 'PERMISSIVE':
      return tlsReady ?? (() => true);
    default:
      return mtls satisfies never;
  }
}

/** The used services that are spoken to without TLS, as text to compare. */
function inPlainText(
  services: Generated['services'],
  snapshot: MeshSnapshot,
  clientTls: SidecarContext['clientTls'],
): string {
  const used = services === 'all' ? snapshot.services.keys() : services;
  return [...used].filter((service) => !clientTls(service)).join('|');
}

function viewsOf(
  services: Generated['services'],
  snapshot: MeshSnapshot,
): ReadonlyMap<string, ServiceView | undefined> {
  if (services === 'all') return new Map();
  return new Map([...services].map((service) => [service, snapshot.services.get(service)]));
}

function sameServices(a: Generated['services'], b: Generated['services']): boolean {
  if (a === 'all' || b === 'all') return a === b;
  return a.size === b.size && [...a].every((service) => b.has(service));
}
