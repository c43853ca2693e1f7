import { describe, expect, it } from 'vitest';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import { answerBootstrap, type BootstrapDependencies } from './answer.ts';

const stored: Resource<DataplaneSpec> = {
  type: 'Dataplane',
  meta: { mesh: 'default', name: 'api-1', labels: {}, creationTime: '', modificationTime: '', version: '' },
  spec: {
    networking: {
      address: '10.0.0.1',
      admin: { port: 9999 },
      inbound: [{ port: 80, tags: { 'kuma.io/service': 'api' } }],
    },
  },
};

const deps: BootstrapDependencies = {
  settings: () => ({
    adminAddress: '127.0.0.1',
    defaultAdminPort: 9901,
    adminAccessLogPath: '/dev/null',
    xdsHost: '',
    xdsPort: 5678,
    xdsConnectTimeoutMs: 1000,
    forceDelta: false,
    reloadableTokens: false,
    tokenRequired: true,
  }),
  caPem: 'CA PEM',
  namesUnlessCovered: (host) => (host === 'localhost' || host === '127.0.0.1' ? undefined : ['localhost', '127.0.0.1']),
  isNoCa: (pem) => pem === 'LEAF',
  parseDataplane(source, mesh, name) {
    if (source === 'bad') throw new Error('networking.address: must be defined');
    return { ...stored, meta: { ...stored.meta, mesh, name } };
  },
  meshExists: async (mesh) => mesh === 'default',
  storedDataplane: async (_mesh, name) => (name === 'api-1' ? stored : undefined),
};

const ask = (request: Record<string, unknown>, host = 'localhost', json = true) =>
  answerBootstrap({ body: { mesh: 'default', name: 'api-1', dataplaneToken: 'TOKEN', ...request }, host, json }, deps);

// biome-ignore lint/suspicious/noExplicitAny: the document is looked into by hand
async function bootstrapOf(request: Record<string, unknown>, host?: string): Promise<any> {
  const answer = await ask(request, host);
  expect(answer.status).toBe(200);
  return JSON.parse(Buffer.from(JSON.parse(answer.body).bootstrap, 'base64').toString('utf8'));
}

describe('answerBootstrap', () => {
  it('names the node, hands over the token and verifies the control plane by CA and name', async () => {
    const document = await bootstrapOf({ caCert: 'OWN CA' });
    expect(document.node).toMatchObject({ id: 'default.api-1', cluster: 'api' });
    const [grpc] = document.dynamic_resources.ads_config.grpc_services;
    expect(grpc.initial_metadata).toEqual([{ key: 'authorization', value: 'TOKEN' }]);
    const [secret] = document.static_resources.secrets;
    expect(secret.name).toBe('cp_validation_ctx');
    expect(secret.validation_context.trusted_ca.inline_string).toBe('OWN CA');
    expect(secret.validation_context.match_typed_subject_alt_names).toEqual([
      { san_type: 'DNS', matcher: { exact: 'localhost' } },
      { san_type: 'IP_ADDRESS', matcher: { exact: 'localhost' } },
    ]);
    expect(
      document.static_resources.clusters.map((cluster: { name: string; type: string }) => [cluster.name, cluster.type]),
    ).toEqual([
      ['access_log_sink', 'STATIC'],
      ['ads_cluster', 'STRICT_DNS'],
    ]);
  });

  it('takes the admin port of the Dataplane, and reports ports as strings', async () => {
    const document = await bootstrapOf({ readinessPort: 9902, dnsPort: 15053 });
    expect(document.admin.address.socket_address).toEqual({ address: '127.0.0.1', port_value: 9999 });
    expect(document.node.metadata).toMatchObject({
      'dataplane.admin.port': '9999',
      'dataplane.admin.address': '127.0.0.1',
      'dataplane.readinessReporter.port': '9902',
      'dataplane.dns.port': '15053',
      'dataplane.proxyType': 'dataplane',
    });
  });

  it('puts the admin API on a unix socket when the launcher offers one', async () => {
    const document = await bootstrapOf({ adminSocketPath: '/tmp/x/admin.sock' });
    expect(document.admin.address.pipe.path).toBe('/tmp/x/admin.sock');
    expect(document.node.metadata['dataplane.admin.address']).toBe('/tmp/x/admin.sock');
    expect(document.node.metadata['dataplane.admin.port']).toBe('9999');
  });

  it('points Envoy at the socket of a launcher that makes keys, and the launcher at itself', async () => {
    const request = { keySocketPath: '/tmp/x/keys.sock' };
    const document = await bootstrapOf(request);
    expect(document.node.metadata['weft.keys']).toBe('proxy');
    const keys = document.static_resources.clusters.find((one: { name: string }) => one.name === 'weft_keys');
    expect(JSON.stringify(keys)).toContain('"pipe":{"path":"/tmp/x/keys.sock"}');
    expect(JSON.parse((await ask(request)).body).proxyKeys).toEqual({ host: 'localhost', port: 5678, caPem: 'CA PEM' });
    expect(JSON.parse((await ask({})).body)).not.toHaveProperty('proxyKeys');
    expect((await bootstrapOf({})).node.metadata).not.toHaveProperty('weft.keys');
  });

  it('speaks delta to those that ask for it', async () => {
    expect((await bootstrapOf({})).dynamic_resources.ads_config.api_type).toBe('GRPC');
    expect((await bootstrapOf({ features: ['feature-delta-grpc'] })).dynamic_resources.ads_config.api_type).toBe(
      'DELTA_GRPC',
    );
  });

  it('lets Envoy read a token that rotates from its file, and keeps the token itself out', async () => {
    const file = { dataplaneToken: 'TOKEN', dataplaneTokenPath: '/var/run/token' };
    const document = await bootstrapOf({ ...file, features: ['feature-reloadable-token'] });
    const [service] = document.dynamic_resources.ads_config.grpc_services;
    expect(service.google_grpc.call_credentials[0].from_plugin.typed_config.secret_data).toEqual({
      filename: '/var/run/token',
    });
    expect(JSON.stringify(document)).not.toContain('TOKEN');
    const [once] = (await bootstrapOf(file)).dynamic_resources.ads_config.grpc_services;
    expect(once.google_grpc).toBeUndefined();
  });

  it('answers YAML text to clients that do not accept JSON', async () => {
    const answer = await ask({}, 'localhost', false);
    expect(answer.contentType).toBe('text/x-yaml');
    expect(JSON.parse(answer.body).node.id).toBe('default.api-1');
  });

  it.each([
    ['no token', { dataplaneToken: '' }, 'localhost', 422, /Dataplane Token is required/],
    ['a host that is not in the certificate', {}, 'cp.example', 400, /cp\.example.*localhost/],
    ['a CA that is none', { caCert: 'LEAF' }, 'localhost', 400, /not a CA/],
    ['no such Dataplane', { name: 'nobody' }, 'localhost', 404, /^$/],
    ['an invalid Dataplane', { dataplaneResource: 'bad' }, 'localhost', 422, /networking\.address/],
    [
      'a mesh that does not exist',
      { dataplaneResource: 'good', mesh: 'x' },
      'localhost',
      422,
      /mesh: mesh "x" does not exist/,
    ],
    ['a field of a wrong type', { dnsPort: 'many' }, 'localhost', 400, /dnsPort/],
    ['a zone proxy', { proxyType: 'ingress' }, 'localhost', 422, /proxyType/],
  ] as const)('refuses %s', async (_what, request, host, status, message) => {
    const answer = await ask(request, host);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(message);
  });

  it.each([undefined, null, 1, 'text', []])('refuses %j as a body', async (body) => {
    expect((await answerBootstrap({ body, host: 'localhost', json: true }, deps)).status).toBe(400);
  });
});
