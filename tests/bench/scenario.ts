/** The mesh under load: what Dataplanes, meshes and policies the benchmarks use. Plain REST documents that Kuma 2.11 takes as well. */
import type { NodeSpec } from './fleet/messages.ts';

export interface Scenario {
  readonly mesh: string;
  /** Connected proxies. */
  readonly proxies: number;
  readonly services: number;
  /** Outbounds of each proxy. */
  readonly outbounds: number;
}

export type Document = Readonly<Record<string, unknown>>;

const serviceName = (index: number) => `service-${index}`;

/** N/10 services, three reachable each, unless said otherwise. */
export function scenarioOf(proxies: number, change: Partial<Scenario> = {}): Scenario {
  return { mesh: 'bench', proxies, services: Math.max(4, Math.ceil(proxies / 10)), outbounds: 3, ...change };
}

const proxyName = (index: number) => `dp-${index}`;

/** A tag that one proxy alone has. */
export const PROBE = { 'bench/probe': 'one' };

/** The Dataplane of the proxy with this index; options make variants that never connect. */
export function dataplane(
  scenario: Scenario,
  index: number,
  options: { name?: string; service?: number; address?: string; labels?: Record<string, string> } = {},
): Document {
  const service = options.service ?? index % scenario.services;
  const address = options.address ?? `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255 || 1}`;
  return {
    type: 'Dataplane',
    mesh: scenario.mesh,
    name: options.name ?? proxyName(index),
    ...(options.labels ? { labels: options.labels } : {}),
    networking: {
      address,
      inbound: [
        {
          port: 8000,
          tags: {
            'kuma.io/service': serviceName(service),
            'kuma.io/protocol': 'http',
            ...(options.name === undefined && index === 0 ? PROBE : {}),
          },
        },
      ],
      outbound: Array.from({ length: Math.min(scenario.outbounds, scenario.services) }, (_, nth) => ({
        address: '127.0.0.1',
        port: 10_000 + nth,
        tags: { 'kuma.io/service': serviceName((service + 1 + nth) % scenario.services) },
      })),
    },
  };
}

export function mesh(name: string, mtls: boolean): Document {
  return {
    type: 'Mesh',
    name,
    // Nothing but what the benchmark applies, on either control plane.
    skipCreatingInitialPolicies: ['*'],
    ...(mtls ? { mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] } } : {}),
  };
}

/** Allows one client, named by `marker`, so that the word appears in every listener that the policy reaches. */
export function permission(
  scenario: Scenario,
  name: string,
  marker: string,
  tags?: Readonly<Record<string, string>>,
): Document {
  return {
    type: 'MeshTrafficPermission',
    mesh: scenario.mesh,
    name,
    spec: {
      targetRef: tags === undefined ? { kind: 'Mesh' } : { kind: 'MeshSubset', tags },
      from: [{ targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': marker } }, default: { action: 'Allow' } }],
    },
  };
}

/** The node of a proxy as Kuma's bootstrap makes it (kuma-compat 4.3). */
export function node(scenario: Scenario, index: number): NodeSpec {
  const document = dataplane(scenario, index);
  return {
    id: `${scenario.mesh}.${proxyName(index)}`,
    cluster: serviceName(index % scenario.services),
    metadata: {
      'dataplane.resource': JSON.stringify(document),
      'dataplane.proxyType': 'dataplane',
      'dataplane.admin.port': '9901',
      'dataplane.admin.address': '127.0.0.1',
      'dataplane.dns.port': '0',
      'dataplane.readinessReporter.port': '9902',
      'dataplane.appProbeProxy.enabled': 'false',
      version: {
        kumaDp: { version: '2.11.18', gitTag: 'v2.11.18', gitCommit: '', buildDate: '' },
        envoy: { version: '1.40.0', build: 'bench/1.40.0/Clean/RELEASE/BoringSSL', kumaDpCompatible: true },
        dependencies: {},
      },
      features: ['feature-tcp-accesslog-via-named-pipe', 'feature-delta-grpc'],
      workdir: '/tmp',
      ipv6Enabled: false,
    },
  };
}
