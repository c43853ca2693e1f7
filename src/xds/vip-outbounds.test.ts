import { describe, expect, it } from 'vitest';
import { RESOURCE_TYPE } from '../envoy/encode.ts';
import { buildSnapshot } from '../mesh/build.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { ServiceVip } from '../mesh/vips.ts';
import type { Resource } from '../resources/resource.ts';
import { PLAIN_METADATA, resourceOf } from '../testing/sidecar-cases.ts';
import { findInconsistencies } from './consistency.ts';
import { createGenerationCache, type Generated, generateSidecar } from './generate.ts';

const MESH = resourceOf({
  type: 'Mesh',
  name: 'default',
  mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] },
});

function dataplane(
  n: number,
  parts: { service?: string; address?: string; reachable?: string[]; redirect?: boolean } = {},
): Resource {
  const { service = `s${n}_shop_svc_80`, address = `10.244.0.${n}`, reachable, redirect = true } = parts;
  return resourceOf({
    type: 'Dataplane',
    mesh: 'default',
    name: `p${n}.shop`,
    networking: {
      address,
      inbound: [{ port: 8080, tags: { 'kuma.io/service': service, 'kuma.io/instance': `p${n}` } }],
      ...(redirect
        ? {
            transparentProxying: {
              redirectPortInbound: 15006,
              redirectPortOutbound: 15001,
              ...(reachable === undefined ? {} : { reachableServices: reachable }),
            },
          }
        : {}),
    },
  });
}

/** A mesh that changes step by step, and one proxy after another generated from it. */
function world(resources: readonly Resource[], vips: Record<string, ServiceVip>) {
  const cache = createGenerationCache({ adminTls: undefined });
  const metadata = new Map<string, typeof PLAIN_METADATA>();
  let snapshot: MeshSnapshot | undefined;
  const change = (changed: readonly Resource[], services: readonly string[] = []) => {
    const update = buildSnapshot(
      snapshot,
      'default',
      changed.map((resource) => ({ op: 'upsert', resource })),
      { source: { of: (service) => vips[service] }, changed: new Set(services) },
    );
    snapshot = update.snapshot;
    return update;
  };
  change(resources);
  return {
    change,
    vips,
    generate(name: string): Generated {
      const known = metadata.get(name) ?? { ...PLAIN_METADATA };
      metadata.set(name, known);
      const made = generateSidecar({ dataplane: snapshot!.dataplanes.get(name)!, metadata: known }, snapshot!, cache);
      expect(findInconsistencies(made.resources)).toEqual([]);
      return made;
    },
  };
}

const addresses = (n: number): ServiceVip => ({ kind: 'addresses', addresses: [`10.96.0.${n}`], port: 80 });
const names = (made: Generated, type: (typeof RESOURCE_TYPE)[keyof typeof RESOURCE_TYPE]) => [
  ...(made.resources.get(type)?.keys() ?? []),
];
const outbounds = (made: Generated) =>
  names(made, RESOURCE_TYPE.listener).filter((name) => name.startsWith('outbound:') && !name.includes('passthrough'));

function many(count: number) {
  const resources = Array.from({ length: count }, (_, n) => dataplane(n + 1));
  const vips = Object.fromEntries(resources.map((_, n) => [`s${n + 1}_shop_svc_80`, addresses(n + 1)]));
  return world([MESH, ...resources], vips);
}

describe('outbounds by the addresses of Services', () => {
  it('makes each resource once for all proxies, the endpoints even as one map', () => {
    const mesh = many(20);
    const [one, two] = [mesh.generate('p1.shop'), mesh.generate('p2.shop')];
    expect(outbounds(one)).toHaveLength(20);
    expect(one.services).toBe('all');
    expect(one.resources.get(RESOURCE_TYPE.endpoint)).toBe(two.resources.get(RESOURCE_TYPE.endpoint));
    for (const name of outbounds(one)) {
      expect(one.resources.get(RESOURCE_TYPE.listener)?.get(name)).toBe(
        two.resources.get(RESOURCE_TYPE.listener)?.get(name),
      );
    }
  });

  it('one endpoint more changes one load assignment and nothing else', () => {
    const mesh = many(20);
    const before = mesh.generate('p1.shop');
    const update = mesh.change([dataplane(99, { service: 's7_shop_svc_80' })]);
    expect([...update.changedServices]).toEqual(['s7_shop_svc_80']);
    const after = mesh.generate('p1.shop');
    for (const [type, resources] of before.resources) {
      if (type !== RESOURCE_TYPE.endpoint) expect(after.resources.get(type)).toBe(resources);
    }
    const changed = [...after.resources.get(RESOURCE_TYPE.endpoint)!].filter(
      ([name, resource]) => before.resources.get(RESOURCE_TYPE.endpoint)?.get(name) !== resource,
    );
    expect(changed.map(([name]) => name)).toEqual(['s7_shop_svc_80']);
    expect(mesh.generate('p1.shop')).toBe(after);
  });

  it('what does not reach the proxies changes nothing', () => {
    const mesh = many(3);
    const before = mesh.generate('p1.shop');
    mesh.change([], ['s1_shop_svc_80']);
    expect(mesh.generate('p1.shop')).toBe(before);
  });

  it('follows an address that moves, comes and goes', () => {
    const mesh = many(2);
    mesh.vips['s2_shop_svc_80'] = addresses(77);
    expect([...mesh.change([], ['s2_shop_svc_80']).changedServices]).toEqual(['s2_shop_svc_80']);
    expect(outbounds(mesh.generate('p1.shop'))).toEqual(['outbound:10.96.0.1:80', 'outbound:10.96.0.77:80']);
    delete mesh.vips['s2_shop_svc_80'];
    mesh.change([], ['s2_shop_svc_80']);
    expect(outbounds(mesh.generate('p1.shop'))).toEqual(['outbound:10.96.0.1:80']);
  });

  it('keeps to the reachable services, and hears of one that is not there yet', () => {
    const mesh = many(3);
    mesh.change([dataplane(4, { reachable: ['s2_shop_svc_80', 's9_shop_svc_80'] })]);
    const made = mesh.generate('p4.shop');
    expect(outbounds(made)).toEqual(['outbound:10.96.0.2:80']);
    expect(made.services).toEqual(new Set(['s2_shop_svc_80', 's9_shop_svc_80']));
    mesh.vips['s9_shop_svc_80'] = addresses(9);
    mesh.change([dataplane(9)]);
    expect(outbounds(mesh.generate('p4.shop'))).toEqual(['outbound:10.96.0.2:80', 'outbound:10.96.0.9:80']);
  });

  it('a proxy whose traffic is not redirected has none', () => {
    const mesh = many(3);
    mesh.change([dataplane(4, { redirect: false })]);
    const made = mesh.generate('p4.shop');
    expect(outbounds(made)).toEqual([]);
    expect(made.services).toEqual(new Set());
  });

  it('headless: each endpoint but its own, with its own cluster; gone with the endpoint', () => {
    const headless = { db_shop_svc_80: { kind: 'endpoints' as const } };
    const service = 'db_shop_svc_80';
    const mesh = world([MESH, dataplane(1, { service }), dataplane(2, { service }), dataplane(3)], headless);
    expect(outbounds(mesh.generate('p1.shop'))).toEqual(['outbound:10.244.0.2:8080']);
    expect(outbounds(mesh.generate('p2.shop'))).toEqual(['outbound:10.244.0.1:8080']);
    const client = mesh.generate('p3.shop');
    expect(outbounds(client)).toEqual(['outbound:10.244.0.1:8080', 'outbound:10.244.0.2:8080']);
    expect(names(client, RESOURCE_TYPE.endpoint)).toHaveLength(2);
    mesh.change([dataplane(2, { service, address: '10.244.0.22' })]);
    expect(outbounds(mesh.generate('p3.shop'))).toEqual(['outbound:10.244.0.1:8080', 'outbound:10.244.0.22:8080']);
    expect(outbounds(mesh.generate('p1.shop'))).toEqual(['outbound:10.244.0.22:8080']);
  });

  it('an endpoint with a name too long for TLS takes only itself away', () => {
    const long = resourceOf({
      type: 'Dataplane',
      mesh: 'default',
      name: 'long.shop',
      networking: {
        address: '10.244.0.9',
        inbound: [{ port: 80, tags: { 'kuma.io/service': 'db_shop_svc_80', 'kuma.io/instance': 'x'.repeat(250) } }],
      },
    });
    const mesh = world([MESH, long, dataplane(1)], {
      db_shop_svc_80: { kind: 'endpoints' },
      s1_shop_svc_80: addresses(1),
    });
    expect(outbounds(mesh.generate('p1.shop'))).toEqual(['outbound:10.96.0.1:80']);
  });
});
