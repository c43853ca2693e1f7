import { describe, expect, it } from 'vitest';
import { fromProtoJson } from '../proto-json.ts';
import { type DataplaneSpec, dataplaneKind } from './dataplane.ts';

const parse = (value: unknown): DataplaneSpec => fromProtoJson(dataplaneKind.schema, value);
const violations = (value: unknown) => {
  const spec = parse(value);
  const meta = { mesh: 'default', name: 'web-1', labels: {}, creationTime: '', modificationTime: '', version: '' };
  return dataplaneKind.validate(spec, { type: 'Dataplane', meta, spec });
};
const inbound = (more: object = {}) => ({ port: 8080, tags: { 'kuma.io/service': 'web' }, ...more });
const dataplane = (networking: object, more: object = {}) => ({
  networking: { address: '10.0.0.1', inbound: [inbound()], ...networking },
  ...more,
});
const outbound = (one: object) => dataplane({ outbound: [one] });
const gateway = (one: object) => ({ networking: { address: '10.0.0.1', gateway: one } });
const service = { 'kuma.io/service': 'web' };

describe('Dataplane validation', () => {
  it.each<[string, object]>([
    ['an inbound', dataplane({})],
    ['a host name', dataplane({ address: 'web.example.com' })],
    ['IPv6', dataplane({ address: 'fd00::1' })],
    [
      'outbounds',
      dataplane({
        outbound: [
          { port: 1, tags: service },
          { port: 2, backendRef: { kind: 'MeshService', name: 'a', port: 80 } },
        ],
      }),
    ],
    ['a delegated gateway', gateway({ tags: service })],
    ['a builtin gateway', gateway({ type: 'BUILTIN', tags: service })],
    ['admin port apart from the inbound', dataplane({ admin: { port: 8080 } })],
    ['a protocol in capitals', dataplane({ inbound: [inbound({ tags: { ...service, 'kuma.io/protocol': 'HTTP' } })] })],
  ])('accepts %s', (_what, value) => {
    expect(violations(value)).toEqual([]);
  });

  it.each<[string, object, string, string]>([
    ['no networking', {}, 'networking', 'must be defined'],
    [
      'no inbound and no gateway',
      { networking: { address: '10.0.0.1' } },
      'networking',
      'has to contain at least one inbound interface or gateway',
    ],
    ['no address', dataplane({ address: '' }), 'networking.address', "address can't be empty"],
    ['the any address', dataplane({ address: '0.0.0.0' }), 'networking.address', 'must not be 0.0.0.0 or ::'],
    ['the IPv6 any address', dataplane({ address: '::' }), 'networking.address', 'must not be 0.0.0.0 or ::'],
    [
      'an address that is no host',
      dataplane({ address: 'a b' }),
      'networking.address',
      'address has to be valid IP address or domain name',
    ],
    [
      'an admin port on an inbound',
      dataplane({ address: '127.0.0.1', admin: { port: 8080 } }),
      'networking.admin.port',
      'must differ from inbound',
    ],
    [
      'an admin port on an outbound',
      dataplane({ admin: { port: 9 }, outbound: [{ port: 9, tags: service }] }),
      'networking.admin.port',
      'must differ from outbound',
    ],
    [
      'an inbound without a service',
      dataplane({ inbound: [{ port: 1, tags: { a: 'b' } }] }),
      'networking.inbound[0].tags["kuma.io/service"]',
      'tag has to exist',
    ],
    [
      'port 0',
      dataplane({ inbound: [inbound({ port: 0 })] }),
      'networking.inbound[0].port',
      'port must be in the range [1, 65535]',
    ],
    [
      'port 65536',
      dataplane({ inbound: [inbound({ port: 65536 })] }),
      'networking.inbound[0].port',
      'port must be in the range [1, 65535]',
    ],
    [
      'a bad servicePort',
      dataplane({ inbound: [inbound({ servicePort: 70000 })] }),
      'networking.inbound[0].servicePort',
      'port must be in the range [1, 65535]',
    ],
    [
      'a bad serviceAddress',
      dataplane({ inbound: [inbound({ serviceAddress: 'x' })] }),
      'networking.inbound[0].serviceAddress',
      'serviceAddress has to be valid IP address',
    ],
    [
      'a serviceAddress that is the proxy',
      dataplane({ inbound: [inbound({ serviceAddress: '10.0.0.1' })] }),
      'networking.inbound[0].serviceAddress',
      'serviceAddress and servicePort has to differ from address and port',
    ],
    [
      'a bad inbound address',
      dataplane({ inbound: [inbound({ address: 'x' })] }),
      'networking.inbound[0].address',
      'address has to be valid IP address',
    ],
    [
      'an unknown protocol',
      dataplane({ inbound: [inbound({ tags: { ...service, 'kuma.io/protocol': 'ftp' } })] }),
      'networking.inbound[0].tags["kuma.io/protocol"]',
      'tag "kuma.io/protocol" has an invalid value "ftp". Allowed values: grpc, http, http2, kafka, tcp',
    ],
    [
      'an empty tag value',
      dataplane({ inbound: [inbound({ tags: { ...service, v: '' } })] }),
      'networking.inbound[0].tags["v"]',
      'tag value must be non-empty',
    ],
    [
      'a bad tag name',
      dataplane({ inbound: [inbound({ tags: { ...service, 'a b': 'c' } })] }),
      'networking.inbound[0].tags["a b"]',
      'tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores',
    ],
    [
      'a bad tag value',
      dataplane({ inbound: [inbound({ tags: { ...service, a: 'b/c' } })] }),
      'networking.inbound[0].tags["a"]',
      'tag value must consist of alphanumeric characters, dots, dashes and underscores',
    ],
    [
      'a probe without time',
      dataplane({ inbound: [inbound({ serviceProbe: { interval: '0s' } })] }),
      'networking.inbound[0].serviceProbe.interval',
      'must have a positive value',
    ],
    [
      'an outbound without tags',
      outbound({ port: 1 }),
      'networking.outbound[0].tags',
      'mandatory tag "kuma.io/service" is missing',
    ],
    [
      'an outbound without a service',
      outbound({ port: 1, tags: { a: 'b' } }),
      'networking.outbound[0].tags',
      'mandatory tag "kuma.io/service" is missing',
    ],
    [
      'a bad outbound address',
      outbound({ port: 1, address: 'x', tags: service }),
      'networking.outbound[0].address',
      'address has to be valid IP address',
    ],
    [
      'an unknown backend kind',
      outbound({ port: 1, backendRef: { kind: 'Mesh', name: 'a', port: 1 } }),
      'networking.outbound[0].backendRef.kind',
      'invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService',
    ],
    [
      'a backend without a name',
      outbound({ port: 1, backendRef: { kind: 'MeshService', port: 1 } }),
      'networking.outbound[0].backendRef',
      "either 'name' or 'labels' should be specified",
    ],
    [
      'backend and tags',
      outbound({ port: 1, tags: service, backendRef: { kind: 'MeshService', name: 'a', port: 1 } }),
      'networking.outbound[0].backendRef',
      'both backendRef and tags/service cannot be defined',
    ],
    [
      'inbounds of a builtin gateway',
      dataplane({ gateway: { type: 'BUILTIN', tags: service } }),
      'networking.inbound',
      'inbound cannot be defined for builtin gateways',
    ],
    [
      'inbounds of a delegated gateway',
      dataplane({ gateway: { tags: service } }),
      'networking.inbound',
      'inbound cannot be defined for delegated gateways',
    ],
    [
      'a gateway without a service',
      gateway({ tags: { a: 'b' } }),
      'networking.gateway.tags',
      'mandatory tag "kuma.io/service" is missing',
    ],
    [
      'a gateway with a protocol',
      gateway({ tags: { ...service, 'kuma.io/protocol': 'http' } }),
      'networking.gateway.tags["kuma.io/protocol"]',
      'other values than tcp are not allowed, provided value "http"',
    ],
    [
      'a probes port out of range',
      dataplane({}, { probes: {} }),
      'probes.port',
      'port must be in the range [1, 65535]',
    ],
    [
      'an unknown metrics type',
      dataplane({}, { metrics: { type: 'x' } }),
      'metrics.type',
      'unknown backend type. Available backends: "prometheus"',
    ],
    [
      'reachable backends of an unknown kind',
      dataplane({ transparentProxying: { reachableBackends: { refs: [{ kind: 'X', name: 'a' }] } } }),
      'networking.transparentProxing.reachableBackends.refs[0].kind',
      'invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService',
    ],
  ])('refuses %s', (_what, value, field, message) => {
    expect(violations(value)).toEqual([{ field, message }]);
  });

  it('reports every violation', () => {
    const found = violations({ networking: { inbound: [{ tags: { x: '' } }], outbound: [{}] } });
    expect(found.map((one) => one.field)).toEqual([
      'networking.address',
      'networking.inbound[0].port',
      'networking.inbound[0].tags["x"]',
      'networking.inbound[0].tags["kuma.io/service"]',
      'networking.outbound[0].port',
      'networking.outbound[0].tags',
    ]);
  });
});
