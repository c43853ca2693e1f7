import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { ClusterSchema } from '@weft/protos/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '@weft/protos/envoy/config/listener/v3/listener_pb.js';
import { SecretSchema } from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeResource, RESOURCE_TYPE } from '../envoy/encode.ts';
import { buildSnapshot } from '../mesh/build.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Resource } from '../resources/resource.ts';
import { anyMesh } from '../testing/random-mesh.ts';
import { PLAIN_METADATA, resourceOf, snapshotOf } from '../testing/sidecar-cases.ts';
import type { ResourceSet } from '../xds-server/xds.ts';
import { findInconsistencies } from './consistency.ts';
import {
  createGenerationCache,
  GenerateError,
  type GenerationCache,
  generateSidecar,
  type ProxyMetadata,
} from './generate.ts';
import { identitySecret, trustBundleSecret } from './secrets.ts';

const meshOff = resourceOf({ type: 'Mesh', name: 'default' });
const meshOn = (mode = 'STRICT') =>
  resourceOf({
    type: 'Mesh',
    name: 'default',
    mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin', mode }] },
  });
const allow = (name: string, client = 'web') =>
  resourceOf({
    type: 'MeshTrafficPermission',
    mesh: 'default',
    name,
    spec: { from: [{ targetRef: { kind: 'MeshService', name: client }, default: { action: 'Allow' } }] },
  });
const web = (index: number, networking: Record<string, unknown> = {}) =>
  resourceOf({
    type: 'Dataplane',
    mesh: 'default',
    name: `web-${index}`,
    networking: {
      address: `10.0.0.${index}`,
      inbound: [{ port: 8080, tags: { 'kuma.io/service': 'web', 'kuma.io/protocol': 'http' } }],
      outbound: [{ port: 9001, tags: { 'kuma.io/service': 'api' } }],
      ...networking,
    },
  });
const api = (index: number) =>
  resourceOf({
    type: 'Dataplane',
    mesh: 'default',
    name: `api-${index}`,
    networking: {
      address: `10.0.1.${index}`,
      inbound: [{ port: 7000, tags: { 'kuma.io/service': 'api', 'kuma.io/protocol': 'tcp' } }],
    },
  });
const cacheOf = () => createGenerationCache({ adminTls: undefined });

function generate(
  snapshot: MeshSnapshot,
  name: string,
  cache: GenerationCache = cacheOf(),
  metadata: ProxyMetadata = { ...PLAIN_METADATA },
) {
  return generateSidecar({ dataplane: snapshot.dataplanes.get(name)!, metadata }, snapshot, cache);
}

const update = (snapshot: MeshSnapshot, ...resources: readonly Resource[]) =>
  buildSnapshot(
    snapshot,
    'default',
    resources.map((resource) => ({ op: 'upsert', resource })),
  ).snapshot;

describe('what proxies share', () => {
  const snapshot = snapshotOf([meshOn(), allow('a'), web(1), web(2), api(1)]);

  test('cluster, endpoints and outbound listener of one service are one object for all proxies', () => {
    const cache = cacheOf();
    const [one, two] = [generate(snapshot, 'web-1', cache), generate(snapshot, 'web-2', cache)];
    const pick = (set: ResourceSet) => [
      set.get(RESOURCE_TYPE.cluster)?.get('api'),
      set.get(RESOURCE_TYPE.endpoint)?.get('api'),
      set.get(RESOURCE_TYPE.listener)?.get('outbound:127.0.0.1:9001'),
    ];
    expect(pick(one.resources)).not.toContain(undefined);
    for (const [index, resource] of pick(one.resources).entries()) expect(pick(two.resources)[index]).toBe(resource);
  });

  test('nothing changed: the last result itself', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const first = generate(snapshot, 'web-1', cache, metadata);
    expect(generate(snapshot, 'web-1', cache, metadata)).toBe(first);
    expect(generate(update(snapshot, structuredClone(api(1))), 'web-1', cache, metadata)).toBe(first);
  });

  test('a change of another service gives the last result', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const first = generate(snapshot, 'web-1', cache, metadata);
    const next = update(
      snapshot,
      resourceOf({
        ...web(3),
        type: 'Dataplane',
        mesh: 'default',
        name: 'x',
        networking: { address: '10.0.2.1', inbound: [{ port: 1, tags: { 'kuma.io/service': 'other' } }] },
      }),
    );
    expect(next).not.toBe(snapshot);
    expect(generate(next, 'web-1', cache, metadata)).toBe(first);
  });

  test('a new endpoint makes a new endpoint map and leaves the others as they are', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const before = generate(snapshot, 'web-1', cache, metadata).resources;
    const after = generate(update(snapshot, api(2)), 'web-1', cache, metadata).resources;
    expect(after.get(RESOURCE_TYPE.endpoint)).not.toBe(before.get(RESOURCE_TYPE.endpoint));
    expect(after.get(RESOURCE_TYPE.cluster)).toBe(before.get(RESOURCE_TYPE.cluster));
    expect(after.get(RESOURCE_TYPE.listener)).toBe(before.get(RESOURCE_TYPE.listener));
  });

  test('a permission changes listeners only, and one that is about someone else nothing at all', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const before = generate(snapshot, 'web-1', cache, metadata);
    const elsewhere = resourceOf({
      type: 'MeshTrafficPermission',
      mesh: 'default',
      name: 'b',
      spec: {
        targetRef: { kind: 'MeshService', name: 'api' },
        from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }],
      },
    });
    const between = generate(update(snapshot, elsewhere), 'web-1', cache, metadata);
    expect(between).toBe(before);
    const after = generate(update(snapshot, allow('a', 'other')), 'web-1', cache, metadata).resources;
    expect(after.get(RESOURCE_TYPE.listener)).not.toBe(before.resources.get(RESOURCE_TYPE.listener));
    expect(after.get(RESOURCE_TYPE.cluster)).toBe(before.resources.get(RESOURCE_TYPE.cluster));
  });

  test('a view with shadow policies is not remembered as what the proxy has', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const shadow = resourceOf({
      ...allow('s', 'guest'),
      type: 'MeshTrafficPermission',
      mesh: 'default',
      name: 's',
      labels: { 'kuma.io/effect': 'shadow' },
      spec: allow('s', 'guest').spec,
    });
    const withShadow = update(snapshot, shadow);
    const real = generate(withShadow, 'web-1', cache, metadata);
    const dataplane = withShadow.dataplanes.get('web-1')!;
    const whatIf = generateSidecar({ dataplane, metadata }, withShadow, cache, { shadow: true });
    expect(whatIf.resources.get(RESOURCE_TYPE.listener)).not.toBe(real.resources.get(RESOURCE_TYPE.listener));
    expect(generate(withShadow, 'web-1', cache, metadata)).toBe(real);
    expect([...generate(withShadow, 'web-1', cache).resources]).toEqual([...real.resources]);
  });
});

describe('in PERMISSIVE mode', () => {
  const snapshot = snapshotOf([meshOn('PERMISSIVE'), web(1), api(1)]);
  const clusterOf = (mode: string, tlsReady: () => boolean) => {
    const changed = update(snapshot, meshOn(mode));
    const proxy = { dataplane: changed.dataplanes.get('web-1')!, metadata: { ...PLAIN_METADATA } };
    const { resources } = generateSidecar(proxy, changed, cacheOf(), { tlsReady });
    const { any } = resources.get(RESOURCE_TYPE.cluster)!.get('api')!;
    return fromBinary(ClusterSchema, fromBinary(AnySchema, any).value);
  };

  test('clients use TLS once the service takes it', () => {
    expect(clusterOf('PERMISSIVE', () => false).transportSocket).toBeUndefined();
    expect(clusterOf('PERMISSIVE', () => true).transportSocket).toBeDefined();
  });

  test('STRICT does not ask', () => {
    expect(clusterOf('STRICT', () => false).transportSocket).toBeDefined();
  });

  test('a service that becomes ready changes the result, others do not', () => {
    const cache = cacheOf();
    const proxy = { dataplane: snapshot.dataplanes.get('web-1')!, metadata: { ...PLAIN_METADATA } };
    const ready = new Set<string>();
    const run = () => generateSidecar(proxy, snapshot, cache, { tlsReady: (service) => ready.has(service) });
    const before = run();
    ready.add('other');
    expect(run()).toBe(before);
    ready.add('api');
    expect(run()).not.toBe(before);
  });
});

describe('what depends on what', () => {
  test('only services with outbounds count', () => {
    expect(generate(snapshotOf([meshOff, web(1), api(1)]), 'web-1').services).toEqual(new Set(['api']));
  });

  test('direct access to everything depends on everything', () => {
    const dataplane = web(1, {
      transparentProxying: { redirectPortInbound: 15_006, redirectPortOutbound: 15_001, directAccessServices: ['*'] },
    });
    expect(generate(snapshotOf([meshOff, dataplane]), 'web-1').services).toBe('all');
  });
});

describe('admin listener', () => {
  const snapshot = snapshotOf([
    meshOff,
    web(1),
    resourceOf({
      type: 'Dataplane',
      mesh: 'default',
      name: 'local',
      networking: { address: '127.0.0.1', inbound: [] },
    }),
  ]);
  const listenerOf = (name: string, metadata: Partial<ProxyMetadata>) =>
    generate(snapshot, name, cacheOf(), { ...PLAIN_METADATA, ...metadata })
      .resources.get(RESOURCE_TYPE.listener)
      ?.get('kuma:envoy:admin');

  test.each([
    ['is there for another address', 'web-1', { adminPort: 9901, adminAddress: '127.0.0.1' }, true],
    ['is left out where Envoy itself listens', 'local', { adminPort: 9901, adminAddress: '' }, false],
    ['is left out when Envoy listens on all addresses', 'web-1', { adminPort: 9901, adminAddress: '0.0.0.0' }, false],
    [
      'is there when Envoy listens on a unix socket',
      'local',
      { adminPort: 9901, adminAddress: '/run/admin.sock' },
      true,
    ],
    ['is left out without an admin API', 'web-1', {}, false],
  ])('%s', (_name, name, metadata, there) => {
    expect(listenerOf(name, metadata) !== undefined).toBe(there);
  });
});

describe('what can not be generated', () => {
  const fieldOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(GenerateError);
      return (error as GenerateError).field;
    }
    throw new Error('it was generated');
  };

  test.each([
    ['a mesh that is gone', [web(1)], {}, 'mesh'],
    ['a host name as own address', [meshOff, web(1, { address: 'web.example.com' })], {}, 'networking.address'],
    [
      'a host name as inbound address',
      [meshOff, web(1, { inbound: [{ port: 1, address: 'x.y', tags: { 'kuma.io/service': 'web' } }] })],
      {},
      'networking.inbound[0].address',
    ],
    [
      'a host name as outbound address',
      [meshOff, web(1, { outbound: [{ port: 1, address: 'x.y', tags: { 'kuma.io/service': 'a' } }] })],
      {},
      'networking.outbound[0].address',
    ],
    [
      'a server name that is too long',
      [meshOn(), web(1, { outbound: [{ port: 1, tags: { 'kuma.io/service': 'a', v: 'x'.repeat(255) } }] })],
      {},
      'networking.outbound[0].tags',
    ],
    [
      'a builtin gateway',
      [meshOff, web(1, { gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'g' } } })],
      {},
      'networking.gateway.type',
    ],
    [
      'an admin API on another host',
      [meshOff, web(1)],
      { adminPort: 9901, adminAddress: '10.9.9.9' },
      'metadata.dataplane.admin.address',
    ],
  ] as const)('%s', (_name, resources, metadata, field) => {
    const snapshot = snapshotOf(resources);
    const run = () => generate(snapshot, 'web-1', cacheOf(), { ...PLAIN_METADATA, ...metadata });
    expect(fieldOf(run)).toBe(field);
  });

  test('one that fails leaves the others and its own last result alone', () => {
    const cache = cacheOf();
    const metadata = { ...PLAIN_METADATA };
    const snapshot = snapshotOf([meshOff, web(1), web(2)]);
    const before = generate(snapshot, 'web-1', cache, metadata);
    const broken = update(snapshot, web(1, { address: 'x.y' }));
    expect(() => generate(broken, 'web-1', cache, metadata)).toThrow(GenerateError);
    expect(generate(broken, 'web-2', cache)).toBeDefined();
    expect(generate(update(broken, web(1)), 'web-1', cache, metadata).resources).toBe(before.resources);
  });
});

describe('secrets', () => {
  const value = (any: Uint8Array) => fromBinary(SecretSchema, fromBinary(AnySchema, any).value);

  test('hold chain and key, and what to trust', () => {
    const leaf = {
      chainPem: 'chain',
      keyPem: 'key',
      serial: '1',
      uriSans: [],
      backend: 'ca',
      issuer: '',
      notBefore: 0,
      notAfter: 1,
      issuedAt: 0,
      renewAt: 0,
      generation: 1,
    };
    const identity = identitySecret('default', leaf);
    expect(identity.name).toBe('identity_cert:secret:default');
    const { type } = value(identity.any);
    expect(type.case === 'tlsCertificate' && type.value.privateKey?.specifier.value).toEqual(
      new Uint8Array(Buffer.from('key')),
    );
    const bundle = trustBundleSecret({ mesh: 'default', pem: 'ca', version: '1', backends: ['ca'] });
    expect(bundle.name).toBe('mesh_ca:secret:default');
    const trusted = value(bundle.any).type;
    expect(trusted.case === 'validationContext' && trusted.value.trustedCa?.specifier.value).toEqual(
      new Uint8Array(Buffer.from('ca')),
    );
  });

  test('equal content has an equal version', () => {
    const bundle = { mesh: 'default', pem: 'ca', version: '1', backends: ['ca'] };
    expect(trustBundleSecret({ ...bundle }).version).toBe(trustBundleSecret(bundle).version);
    expect(trustBundleSecret({ ...bundle, pem: 'other' }).version).not.toBe(trustBundleSecret(bundle).version);
  });
});

test('the envelope written straight is what the library writes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 300 }), (name, bytes) => {
      const { any } = encodeResource(RESOURCE_TYPE.listener, name, bytes);
      const expected = create(AnySchema, { typeUrl: RESOURCE_TYPE.listener, value: bytes });
      expect(Buffer.from(fromBinary(AnySchema, any).value).equals(bytes)).toBe(true);
      // An empty value is written by us and left out by the library; they read the same.
      if (bytes.length > 0) expect(Buffer.from(any).equals(toBinary(AnySchema, expected))).toBe(true);
    }),
  );
});

test('a listener joined from parts is the listener encoded as a whole', () => {
  const { resources } = generate(snapshotOf([meshOn('PERMISSIVE'), allow('a'), web(1)]), 'web-1');
  for (const { any, name } of resources.get(RESOURCE_TYPE.listener)!.values()) {
    const listener = fromBinary(ListenerSchema, fromBinary(AnySchema, any).value);
    expect(listener.name).toBe(name);
    const whole = toBinary(ListenerSchema, listener);
    expect(fromBinary(ListenerSchema, whole)).toEqual(listener);
    expect(whole.length).toBe(fromBinary(AnySchema, any).value.length);
  }
});

test('any valid mesh: consistent, the same each time, and the same whatever the cache has seen', () => {
  const used = createGenerationCache({ adminTls: undefined, zone: 'v1' });
  fc.assert(
    fc.property(anyMesh(), ({ resources, snapshot }) => {
      for (const [name, dataplane] of snapshot.dataplanes) {
        const metadata = { ...PLAIN_METADATA, adminPort: 9901, readinessPort: 9902 };
        const { resources: set } = generateSidecar({ dataplane, metadata }, snapshot, used);
        expect(findInconsistencies(set)).toEqual([]);
        const again = snapshotOf(structuredClone(resources).toReversed());
        const fresh = createGenerationCache({ adminTls: undefined, zone: 'v1' });
        const repeated = generateSidecar(
          { dataplane: again.dataplanes.get(name)!, metadata: { ...metadata } },
          again,
          fresh,
        );
        expect(versions(repeated.resources)).toEqual(versions(set));
      }
    }),
    { numRuns: 150 },
  );
});

/** Types, names and versions, in the order they come. */
function versions(set: ResourceSet): unknown {
  return [...set].map(([type, resources]) => [type, [...resources].map(([name, { version }]) => [name, version])]);
}
