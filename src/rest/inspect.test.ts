import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema, anyPack } from '@bufbuild/protobuf/wkt';
import { ClusterSchema } from '@weft/protos/envoy/config/cluster/v3/cluster_pb.js';
import { DataSourceSchema, TransportSocketSchema } from '@weft/protos/envoy/config/core/v3/base_pb.js';
import { TlsCertificateSchema } from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CommonTlsContextSchema,
  UpstreamTlsContextSchema,
} from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { describe, expect, it } from 'vitest';
import { createRestFixture, type RestFixture } from '../testing/rest-fixture.ts';
import { type EncodedResource, type ResourceSet, TYPE } from '../xds-server/xds.ts';

function clusters(...names: string[]): ResourceSet {
  const resources = names.map((name): [string, EncodedResource] => {
    const tls = create(UpstreamTlsContextSchema, {
      sni: name,
      commonTlsContext: create(CommonTlsContextSchema, {
        tlsCertificates: [
          create(TlsCertificateSchema, {
            privateKey: create(DataSourceSchema, { specifier: { case: 'inlineString', value: 'canary-key' } }),
          }),
        ],
      }),
    });
    const cluster = create(ClusterSchema, {
      name,
      connectTimeout: { seconds: 5n },
      transportSocket: create(TransportSocketSchema, {
        name: 'tls',
        configType: { case: 'typedConfig', value: anyPack(UpstreamTlsContextSchema, tls) },
      }),
    });
    return [name, { name, version: name, any: toBinary(AnySchema, anyPack(ClusterSchema, cluster)) }];
  });
  return new Map([[TYPE.cluster, new Map(resources)]]);
}

async function withProxy(
  inspect: NonNullable<Parameters<typeof createRestFixture>[0]>['inspect'],
): Promise<RestFixture> {
  const api = await createRestFixture(inspect ? { inspect } : {});
  await api.seed('Mesh', 'default', {});
  const networking = { address: '10.0.0.1', inbound: [{ port: 80, name: 'main', tags: { 'kuma.io/service': 'web' } }] };
  await api.seed('Dataplane', 'web-1', { networking }, { mesh: 'default', labels: { app: 'web' } });
  return api;
}

describe('_config', () => {
  const path = '/meshes/default/dataplanes/web-1/_config';

  it('prints what would be generated, keyed by type URL and name, keys masked', async () => {
    const api = await withProxy({ config: async () => clusters('b', 'a') });
    const { status, json, text } = await api.call('GET', path);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      xds: {
        [TYPE.cluster]: {
          a: {
            name: 'a',
            connectTimeout: '5s',
            transportSocket: {
              typedConfig: {
                '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
                sni: 'a',
                commonTlsContext: {
                  tlsCertificates: [{ privateKey: { inlineBytes: Buffer.from('KEY').toString('base64') } }],
                },
              },
            },
          },
          b: { name: 'b' },
        },
      },
    });
    expect(text).not.toContain('canary');
    expect(json).not.toHaveProperty('diff');
  });

  it('shows shadow policies, and the difference they make as JSON Patch', async () => {
    const api = await withProxy({
      config: async (_mesh, _name, { shadow }) => (shadow ? clusters('a', 'b') : clusters('a')),
    });
    expect((await api.call('GET', `${path}?include=diff`)).json['diff']).toEqual([]);
    const { json } = await api.call('GET', `${path}?shadow=true&include=diff`);
    expect(json['diff']).toMatchObject([
      { op: 'add', path: '/type.googleapis.com~1envoy.config.cluster.v3.Cluster/b', value: { name: 'b' } },
    ]);
    expect((await api.call('GET', `${path}?shadow=maybe`)).status).toBe(400);
    expect((await api.call('GET', `${path}?include=all`)).status).toBe(400);
  });

  it('shows a message it does not know as type and bytes, and the others as usual', async () => {
    const odd = create(AnySchema, { typeUrl: 'type.googleapis.com/acme.Widget', value: new Uint8Array([1, 2]) });
    const set: ResourceSet = new Map([
      [TYPE.listener, new Map([['l', { name: 'l', version: '1', any: toBinary(AnySchema, odd) }]])],
      ...clusters('a'),
    ]);
    const { json } = await (await withProxy({ config: async () => set })).call('GET', path);
    expect(json).toMatchObject({
      xds: {
        [TYPE.listener]: { l: { '@type': 'type.googleapis.com/acme.Widget', value: 'AQI=' } },
        [TYPE.cluster]: { a: {} },
      },
    });
  });

  it('gives the reason when generation fails, and 404 for an unknown proxy', async () => {
    const failing = await withProxy({
      config: async () => {
        throw new Error('generate Dataplane web-1: policy p names no service');
      },
    });
    expect(await failing.call('GET', path)).toMatchObject({
      status: 500,
      json: { title: 'Failed to inspect proxy config', detail: 'generate Dataplane web-1: policy p names no service' },
    });
    const nobody = await withProxy({ config: async () => undefined });
    expect((await nobody.call('GET', path)).status).toBe(404);
    expect((await nobody.call('GET', '/meshes/none/dataplanes/x/_config')).json).toMatchObject({
      title: 'Failed to retrieve Mesh',
    });
  });
});

describe('the admin API of a proxy', () => {
  it('is asked with Envoy paths', async () => {
    const asked: string[] = [];
    const api = await withProxy({
      admin: async (mesh, name, path) => {
        asked.push(`${mesh}/${name} ${path}`);
        return { status: 200, contentType: 'text/plain', body: Buffer.from('{}') };
      },
    });
    const at = (rest: string) => api.call('GET', `/meshes/default/dataplanes/web-1/${rest}`);
    expect((await at('xds')).headers['content-type']).toMatch(/json/);
    await at('xds?include_eds=true');
    expect((await at('stats')).headers['content-type']).toMatch(/plain/);
    expect((await at('stats?format=json&usedonly=false')).headers['content-type']).toMatch(/json/);
    await at('clusters');
    await at('clusters?format=json');
    expect(asked).toEqual(
      [
        '/config_dump',
        '/config_dump?include_eds',
        '/stats?usedonly',
        '/stats?format=json',
        '/clusters',
        '/clusters?format=json',
      ].map((path) => `default/web-1 ${path}`),
    );
    expect((await api.call('GET', '/meshes/default/dataplanes/none/stats')).json).toMatchObject({ status: 404 });
  });

  it('that does not answer is 503 with the reason', async () => {
    const api = await withProxy({});
    expect((await api.call('GET', '/meshes/default/dataplanes/web-1/clusters')).json).toMatchObject({
      status: 503,
      title: 'Could not execute admin operation',
      detail: 'ask Envoy: not connected',
    });
    const odd = await withProxy({ admin: async () => ({ status: 404, contentType: '', body: Buffer.from('x') }) });
    expect((await odd.call('GET', '/meshes/default/dataplanes/web-1/clusters')).status).toBe(503);
  });
});

describe('policies of a proxy', () => {
  async function withPolicies() {
    const api = await withProxy({});
    const allow = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] };
    await api.seed('MeshTrafficPermission', 'allow', allow, { mesh: 'default', labels: { team: 'x' } });
    const other = { targetRef: { kind: 'MeshService', name: 'db' }, ...allow };
    await api.seed('MeshTrafficPermission', 'other', other, { mesh: 'default' });
    return api;
  }

  it('are found from the policy', async () => {
    const api = await withPolicies();
    const list = '/meshes/default/meshtrafficpermissions/allow/_resources/dataplanes';
    expect((await api.call('GET', list)).json).toEqual({
      total: 1,
      items: [{ type: 'Dataplane', mesh: 'default', name: 'web-1', labels: { app: 'web' } }],
    });
    expect((await api.call('GET', list.replace('_resources', '-resources'))).json['total']).toBe(1);
    expect((await api.call('GET', list.replace('allow', 'other'))).json).toEqual({ total: 0, items: [] });
    expect((await api.call('GET', list.replace('allow', 'none'))).status).toBe(404);
    expect((await api.call('GET', '/meshes/default/meshtrafficpermissions/allow/dataplanes')).json).toEqual({
      total: 1,
      items: [
        {
          kind: 'SidecarDataplane',
          dataplane: { mesh: 'default', name: 'web-1' },
          attachments: [{ type: 'dataplane' }],
        },
      ],
    });
  });

  it('are found from the proxy, in the old forms and as rules', async () => {
    const api = await withPolicies();
    const at = async (rest: string) => (await api.call('GET', `/meshes/default/dataplanes/web-1/${rest}`)).json;
    expect(await at('policies')).toMatchObject({
      kind: 'SidecarDataplane',
      total: 1,
      items: [{ type: 'dataplane', matchedPolicies: { MeshTrafficPermission: [{ name: 'allow', mesh: 'default' }] } }],
    });
    expect(await at('rules')).toMatchObject({
      total: 1,
      items: [
        {
          type: 'ClientSubset',
          service: 'web',
          addresses: ['10.0.0.1:80'],
          policyType: 'MeshTrafficPermission',
          subset: {},
        },
      ],
    });
    const origin = [{ type: 'MeshTrafficPermission', mesh: 'default', name: 'allow', labels: { team: 'x' } }];
    expect(await at('_rules')).toEqual({
      httpMatches: [],
      resource: { type: 'Dataplane', mesh: 'default', name: 'web-1', labels: { app: 'web' } },
      rules: [
        {
          type: 'MeshTrafficPermission',
          toRules: [],
          fromRules: [
            {
              inbound: { name: 'main', port: 80, tags: { 'kuma.io/service': 'web' } },
              rules: [{ conf: { action: 'Allow' }, matchers: [], origin }],
            },
          ],
          toResourceRules: [],
          inboundRules: [],
          warnings: [],
        },
      ],
    });
    expect((await api.call('GET', '/meshes/default/dataplanes/none/_rules')).status).toBe(404);
  });
});

describe('the printer of generated configuration', () => {
  it('knows every extension message that the generator uses', async () => {
    const files = await Promise.all(
      ['envoy', 'xds'].map((folder) => readdir(`src/${folder}`, { recursive: true, withFileTypes: true })),
    );
    const sources = files
      .flat()
      .filter((file) => file.isFile() && file.name.endsWith('.ts') && !file.name.endsWith('.test.ts'));
    const texts = await Promise.all(sources.map((file) => readFile(join(file.parentPath, file.name), 'utf8')));
    const used = texts.flatMap((text) =>
      [...text.matchAll(/@weft\/protos\/(envoy\/extensions\/[^']+)_pb\.js/g)].map(([, path]) => path!),
    );
    // Parts of TLS contexts, never packed by themselves.
    const packed = new Set(used.filter((path) => !path.endsWith('transport_sockets/tls/v3/common')));
    const printer = await readFile('src/rest/xds-json.ts', 'utf8');
    expect(packed.size).toBeGreaterThan(0);
    expect([...packed].filter((path) => !printer.includes(`${path}_pb.js`))).toEqual([]);
  });
});
