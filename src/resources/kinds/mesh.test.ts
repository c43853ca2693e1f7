import { describe, expect, it } from 'vitest';
import { fromProtoJson } from '../proto-json.ts';
import type { Resource } from '../resource.ts';
import { enabledMtlsBackend, type MeshSpec, meshKind } from './mesh.ts';

const parse = (value: unknown): MeshSpec => fromProtoJson(meshKind.schema, value);
const violations = (value: unknown) => {
  const spec = parse(value);
  return meshKind.validate(spec, resource(spec));
};
const resource = (spec: MeshSpec): Resource<MeshSpec> => ({
  type: 'Mesh',
  meta: { mesh: '', name: 'default', labels: {}, creationTime: '', modificationTime: '', version: '' },
  spec,
});
const backend = (name: string, more: object = {}) => ({ name, type: 'builtin', ...more });
const tracing = (one: object) => ({ tracing: { backends: [one] } });
const logging = (one: object) => ({ logging: { backends: [one] } });
const prometheus = (conf: object) => ({ metrics: { backends: [{ name: 'p', type: 'prometheus', conf }] } });

describe('Mesh validation', () => {
  it('accepts an empty Mesh and a full one', () => {
    expect(violations({})).toEqual([]);
    expect(
      violations({
        mtls: {
          enabledBackend: 'ca-1',
          backends: [
            backend('ca-1', { dpCert: { rotation: { expiration: '1d' } }, mode: 'PERMISSIVE' }),
            backend('ca-2', { limits: { concurrency: 8, perSecond: 0.5 } }),
          ],
        },
        routing: { zoneEgress: true },
        logging: { defaultBackend: 'f', backends: [{ name: 'f', type: 'file', conf: { path: '/tmp/x' } }] },
        tracing: { backends: [{ name: 'z', type: 'zipkin', sampling: 50, conf: { url: 'http://zipkin:9411/api' } }] },
        ...prometheus({ port: 1234, aggregate: [{ name: 'a' }, { name: 'b' }] }),
        constraints: { dataplaneProxy: { requirements: [{ tags: { team: '*' } }] } },
      }),
    ).toEqual([]);
  });

  it('allows ten CA backends and refuses eleven', () => {
    const list = (count: number) => ({
      mtls: { backends: Array.from({ length: count }, (_, index) => backend(`ca-${index}`)) },
    });
    expect(violations(list(10))).toEqual([]);
    expect(violations(list(11))).toEqual([{ field: 'mtls.backends', message: 'cannot have more than 10 backends' }]);
  });

  it.each<[string, object, string, string]>([
    [
      'a repeated backend name',
      { mtls: { backends: [backend('a'), backend('a')] } },
      'mtls.backends[1].name',
      '"a" name is already used for another backend',
    ],
    [
      'an enabled backend that is not listed',
      { mtls: { enabledBackend: 'x', backends: [backend('a')] } },
      'mtls.enabledBackend',
      'has to be set to one of the backends in the mesh',
    ],
    [
      'dpCert without an expiration',
      { mtls: { backends: [backend('a', { dpCert: {} })] } },
      'mtls.dpcert.rotation.expiration',
      'has to be a valid format',
    ],
    [
      'a Go-style expiration',
      { mtls: { backends: [backend('a', { dpCert: { rotation: { expiration: '1h30m' } } })] } },
      'mtls.dpcert.rotation.expiration',
      'has to be a valid format',
    ],
    [
      'an issuer that may be asked nothing at once',
      { mtls: { backends: [backend('a'), backend('b', { limits: { concurrency: 0 } })] } },
      'mtls.backends[1].limits.concurrency',
      'has to be from 1 to 1000: requests to the issuer that may be under way at once',
    ],
    [
      'an issuer that may be asked never',
      { mtls: { backends: [backend('a', { limits: { perSecond: 0 } })] } },
      'mtls.backends[0].limits.perSecond',
      'has to be over 0: certificates that may be asked for in a second, such as 25, or 0.1 for one in ten seconds',
    ],
    ['zone egress without mTLS', { routing: { zoneEgress: true } }, 'mtls', 'has to be set when zoneEgress enabled'],
    [
      'a logging backend without a name',
      logging({ type: 'file', conf: { path: 'x' } }),
      'logging.backends[0].name',
      'cannot be empty',
    ],
    [
      'an unknown logging type',
      logging({ name: 'a', type: 'udp' }),
      'logging.backends[0].type',
      'unknown backend type. Available backends: "tcp", "file"',
    ],
    [
      'a file log without a path',
      logging({ name: 'a', type: 'file' }),
      'logging.backends[0].config.path',
      'cannot be empty',
    ],
    [
      'a tcp log without an address',
      logging({ name: 'a', type: 'tcp' }),
      'logging.backends[0].config.address',
      'cannot be empty',
    ],
    [
      'a tcp log without a port',
      logging({ name: 'a', type: 'tcp', conf: { address: 'host' } }),
      'logging.backends[0].config.address',
      'has to be in format of HOST:PORT',
    ],
    [
      'a logging default that is not listed',
      { logging: { defaultBackend: 'x' } },
      'logging.defaultBackend',
      'has to be set to one of the logging backend in mesh',
    ],
    [
      'a tracing default that is not listed',
      { tracing: { defaultBackend: 'x' } },
      'tracing.defaultBackend',
      'has to be set to one of the tracing backend in mesh',
    ],
    [
      'sampling above 100',
      tracing({ name: 'a', type: 'zipkin', sampling: 100.1, conf: { url: 'http://a:1' } }),
      'tracing.backends[0].sampling',
      'has to be in [0.0 - 100.0] range',
    ],
    [
      'an unknown tracing type',
      tracing({ name: 'a', type: 'x' }),
      'tracing.backends[0].type',
      'unknown backend type. Available backends: "zipkin", "datadog"',
    ],
    [
      'zipkin without a URL',
      tracing({ name: 'a', type: 'zipkin' }),
      'tracing.backends[0].config.url',
      'cannot be empty',
    ],
    [
      'zipkin with a bad URL',
      tracing({ name: 'a', type: 'zipkin', conf: { url: 'no url' } }),
      'tracing.backends[0].config.url',
      'invalid URL',
    ],
    [
      'zipkin without a port, even where it is the default one',
      tracing({ name: 'a', type: 'zipkin', conf: { url: 'http://a/b' } }),
      'tracing.backends[0].config.url',
      'port has to be explicitly specified',
    ],
    [
      'an unknown zipkin version',
      tracing({ name: 'a', type: 'zipkin', conf: { url: 'http://a:80', apiVersion: 'v9' } }),
      'tracing.backends[0].config.apiVersion',
      'has invalid value. Allowed values: httpJsonV1, httpJson, httpProto',
    ],
    [
      'datadog with port 0',
      tracing({ name: 'a', type: 'datadog', conf: { address: 'h' } }),
      'tracing.backends[0].config.port',
      'port must be in the range [1, 65535]',
    ],
    [
      'a repeated metrics name',
      {
        metrics: {
          backends: [
            { name: 'a', type: 'prometheus' },
            { name: 'a', type: 'prometheus' },
          ],
        },
      },
      'metrics.backends[1].name',
      '"a" name is already used for another backend',
    ],
    [
      'an unknown metrics type',
      { metrics: { backends: [{ name: 'a', type: 'statsd' }] } },
      'metrics.backends[0].type',
      'unknown backend type. Available backends: "prometheus"',
    ],
    [
      'metrics enabled that are not listed',
      { metrics: { enabledBackend: 'x' } },
      'metrics.enabledBackend',
      'has to be set to one of the backends in the mesh',
    ],
    [
      'skipMTLS against tls',
      prometheus({ skipMTLS: true, tls: { mode: 'activeMTLSBackend' } }),
      'metrics.backends[0].conf',
      'skipMTLS and tls configuration cannot be defined together',
    ],
    [
      'a repeated aggregate name',
      prometheus({ aggregate: [{ name: 'a' }, { name: 'a' }] }),
      'metrics.backends[0].conf.aggregate[1].name',
      'duplicate entry: a, values have to be unique',
    ],
    [
      'a requirement without tags',
      { constraints: { dataplaneProxy: { requirements: [{}] } } },
      'constraints.dataplaneProxy.requirements[0].tags',
      'must have at least one tag',
    ],
    [
      'a restriction with a bad value',
      { constraints: { dataplaneProxy: { restrictions: [{ tags: { a: 'b c' } }] } } },
      'constraints.dataplaneProxy.restrictions[0].tags["a"]',
      'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"',
    ],
    [
      'a restriction with an empty value',
      { constraints: { dataplaneProxy: { restrictions: [{ tags: { a: '' } }] } } },
      'constraints.dataplaneProxy.restrictions[0].tags["a"]',
      'tag value must be non-empty',
    ],
  ])('refuses %s', (_what, value, field, message) => {
    expect(violations(value)).toEqual([{ field, message }]);
  });

  it('refuses a filter that is no regular expression, with the reason', () => {
    const [only, ...rest] = violations(prometheus({ envoy: { filterRegex: '(' } }));
    expect(rest).toEqual([]);
    expect(only?.field).toBe('metrics.backends[0].conf.envoy.filterRegex');
    expect(only?.message).toMatch(/^provided regexp isn't correct: ./);
  });

  it('refuses a conf of the wrong type at its path', () => {
    const [only] = violations(prometheus({ port: 'many' }));
    expect(only?.field).toBe('metrics.backends[0].conf');
    expect(only?.message).toMatch(/^could not parse config: port: /);
  });

  it('reports every violation, not the first', () => {
    const found = violations({
      mtls: { enabledBackend: 'x', backends: [backend('a', { dpCert: {} }), backend('a')] },
      routing: { zoneEgress: true },
      ...tracing({ type: 'q', sampling: -1 }),
    });
    expect(found.map((one) => one.field)).toEqual([
      'mtls.backends[1].name',
      'mtls.enabledBackend',
      'mtls.dpcert.rotation.expiration',
      'tracing.backends[0].name',
      'tracing.backends[0].sampling',
      'tracing.backends[0].type',
    ]);
  });
});

describe('Mesh defaults', () => {
  const defaulted = (conf: object) => meshKind.applyDefaults?.(parse(prometheus(conf))).metrics?.backends?.[0]?.conf;
  const base = { port: 5670, path: '/metrics', tags: { 'kuma.io/service': 'dataplane-metrics' } };

  it.each<[string, object, object]>([
    ['nothing', {}, { ...base, tls: {} }],
    ['skipMTLS true', { skipMTLS: true }, { ...base, skipMTLS: true, tls: { mode: 'disabled' } }],
    ['skipMTLS false', { skipMTLS: false }, { ...base, skipMTLS: false, tls: {} }],
    ['own port and tags', { port: 1, tags: { a: 'b' } }, { port: 1, path: '/metrics', tags: { a: 'b' }, tls: {} }],
    [
      'providedTLS, which drops skipMTLS',
      { skipMTLS: true, tls: { mode: 'providedTLS' } },
      { ...base, tls: { mode: 'providedTLS' } },
    ],
  ])('writes the Prometheus conf of %s', (_what, conf, expected) => {
    expect(defaulted(conf)).toEqual(expected);
  });

  it('are stable: applied again they change nothing, not even the object', () => {
    const once = meshKind.applyDefaults?.(parse(prometheus({ skipMTLS: true })));
    expect(once && meshKind.applyDefaults?.(once)).toBe(once);
    expect(once && meshKind.validate(once, resource(once))).toEqual([]);
  });

  it('leave a Mesh without metrics alone', () => {
    const spec = parse({ mtls: {} });
    expect(meshKind.applyDefaults?.(spec)).toBe(spec);
  });
});

describe('Mesh helpers', () => {
  it('finds the enabled backend', () => {
    expect(enabledMtlsBackend(parse({ mtls: { enabledBackend: 'a', backends: [backend('a')] } }))?.name).toBe('a');
    expect(enabledMtlsBackend(parse({ mtls: { backends: [backend('a')] } }))).toBeUndefined();
  });

  it('warns of a name that is no DNS-1035 label', () => {
    const named = { ...resource({}), meta: { ...resource({}).meta, name: '1st' } };
    expect(meshKind.warnings?.({}, named)).toEqual([
      expect.stringMatching(/^Invalid Mesh resource name: '1st'\. It does not conform/),
    ]);
    expect(meshKind.warnings?.({}, resource({}))).toEqual([]);
  });
});
