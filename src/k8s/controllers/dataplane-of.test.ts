import { describe, expect, it } from 'vitest';
import type { DataplaneInbound, DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import type { Namespace, Pod, Service } from '../api/core-kinds.ts';
import { type DataplaneContext, dataplaneOf, type PodFacts } from './dataplane-of.ts';

type Metadata = Partial<Pod['metadata']>;
type PodParts = {
  metadata?: Metadata;
  spec?: Pod['spec'];
  status?: Pod['status'];
  annotations?: Record<string, string>;
};

const REDIRECT = {
  'kuma.io/transparent-proxying': 'enabled',
  'kuma.io/transparent-proxying-inbound-port': '15006',
  'kuma.io/transparent-proxying-outbound-port': '15001',
};

function pod({ metadata = {}, spec = {}, status = {}, annotations = {} }: PodParts = {}): Pod {
  return {
    metadata: {
      name: 'web-6d5f9c-x2x',
      namespace: 'shop',
      uid: 'u1',
      labels: { app: 'web' },
      annotations: { 'kuma.io/sidecar-injected': 'true', ...annotations },
      ...metadata,
    },
    spec: {
      serviceAccountName: 'shopper',
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }, { containerPort: 9090 }] }],
      ...spec,
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.5',
      containerStatuses: [{ name: 'app', ready: true }],
      initContainerStatuses: [{ name: 'kuma-sidecar', ready: true }],
      ...status,
    },
  };
}

function service(parts: { name?: string; annotations?: Record<string, string>; spec?: Service['spec'] } = {}): Service {
  const { name = 'web', annotations = {}, spec = {} } = parts;
  return {
    metadata: { name, namespace: 'shop', annotations },
    spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  };
}

const NAMESPACE: Namespace = { metadata: { name: 'shop' } };

function context(parts: Partial<DataplaneContext> & { spec?: MeshSpec } = {}): DataplaneContext {
  return {
    zone: 'east',
    systemNamespace: 'kong-mesh-system',
    nodeLabelsToCopy: ['topology.kubernetes.io/zone'],
    ignoredServiceSelectorLabels: [],
    mesh: (name) => (name === 'default' || name === 'other' ? (parts.spec ?? {}) : undefined),
    ...parts,
  };
}

function outcome(facts: Partial<PodFacts>, given: Parameters<typeof context>[0] = {}) {
  return dataplaneOf(
    { pod: pod(), namespace: NAMESPACE, services: [service()], node: undefined, ...facts },
    context(given),
  );
}

function spec(facts: Partial<PodFacts>, given: Parameters<typeof context>[0] = {}): DataplaneSpec {
  const got = outcome(facts, given);
  if (got.kind !== 'dataplane') throw new Error(`${got.kind}: ${'reason' in got ? got.reason : ''}`);
  return got.dataplane.spec;
}

function inbounds(facts: Partial<PodFacts>, given: Parameters<typeof context>[0] = {}): readonly DataplaneInbound[] {
  return spec(facts, given).networking?.inbound ?? [];
}

describe('dataplaneOf', () => {
  it('makes what Kuma makes of a Pod behind a Service', () => {
    const got = outcome({
      pod: pod({ metadata: { labels: { app: 'web', empty: '', 'kuma.io/team': 'x', version: 'v1' } } }),
      node: { metadata: { name: 'n', labels: { 'topology.kubernetes.io/zone': 'z1', other: 'no' } } },
    });
    expect(got).toEqual({
      kind: 'dataplane',
      dataplane: {
        type: 'Dataplane',
        meta: {
          mesh: 'default',
          name: 'web-6d5f9c-x2x.shop',
          labels: {
            app: 'web',
            empty: '',
            'k8s.kuma.io/namespace': 'shop',
            'k8s.kuma.io/service-account': 'shopper',
            'kuma.io/display-name': 'web-6d5f9c-x2x',
            'kuma.io/env': 'kubernetes',
            'kuma.io/mesh': 'default',
            'kuma.io/origin': 'zone',
            'kuma.io/proxy-type': 'sidecar',
            'kuma.io/team': 'x',
            'kuma.io/zone': 'east',
            version: 'v1',
          },
          creationTime: '',
          modificationTime: '',
          version: '',
        },
        spec: {
          networking: {
            address: '10.0.0.5',
            inbound: [
              {
                port: 8080,
                name: 'http',
                tags: {
                  app: 'web',
                  'k8s.kuma.io/namespace': 'shop',
                  'k8s.kuma.io/service-name': 'web',
                  'k8s.kuma.io/service-port': '80',
                  'kuma.io/protocol': 'tcp',
                  'kuma.io/service': 'web_shop_svc_80',
                  'kuma.io/zone': 'east',
                  'topology.kubernetes.io/zone': 'z1',
                  version: 'v1',
                },
                state: 'Ready',
                health: { ready: true },
              },
            ],
          },
        },
      },
    });
  });

  it('lets no Pod label say where the Dataplane comes from', () => {
    const labels = {
      app: 'web',
      'kuma.io/origin': 'global',
      'k8s.kuma.io/namespace': 'x',
      'k8s.kuma.io/service-account': 'root',
    };
    const got = outcome({ pod: pod({ metadata: { labels } }) });
    expect(got).toMatchObject({
      dataplane: {
        meta: {
          labels: {
            'kuma.io/origin': 'zone',
            'k8s.kuma.io/namespace': 'shop',
            'k8s.kuma.io/service-account': 'shopper',
          },
        },
      },
    });
  });

  it('has one inbound per Service and TCP port that the Pod has, Services by name', () => {
    const services = [
      service({ name: 'web' }),
      service({
        name: 'admin',
        spec: {
          selector: { app: 'web' },
          ports: [
            { port: 81, targetPort: 'http' },
            { port: 82, targetPort: 'nowhere' },
            { port: 83, targetPort: 7000 },
            { port: 9090 },
            { port: 53, targetPort: 8080, protocol: 'UDP' },
          ],
        },
      }),
      service({ name: 'not-mine', spec: { selector: { app: 'db' }, ports: [{ port: 80 }] } }),
      service({ name: 'nobody', spec: { selector: {}, ports: [{ port: 80 }] } }),
      service({ name: 'alias', spec: { type: 'ExternalName', selector: { app: 'web' }, ports: [{ port: 80 }] } }),
      service({ name: 'ignored', annotations: { 'kuma.io/ignore': 'true' } }),
      service({ name: 'ignored-not', annotations: { 'kuma.io/ignore': 'nonsense' } }),
    ];
    expect(inbounds({ services }).map((one) => [one.port, one.tags?.['kuma.io/service']])).toEqual([
      [8080, 'admin_shop_svc_81'],
      [7000, 'admin_shop_svc_83'],
      [9090, 'admin_shop_svc_9090'],
      [8080, 'ignored-not_shop_svc_80'],
      [8080, 'web_shop_svc_80'],
    ]);
    expect(inbounds({ services }, { spec: { meshServices: { mode: 'Exclusive' } } }).map(({ port }) => port)).toEqual([
      8080, 7000, 9090,
    ]);
  });

  it.each([
    ['nothing said', {}, undefined, 'tcp'],
    ['appProtocol', {}, 'http', 'http'],
    ['appProtocol in capitals', {}, 'HTTP2', 'http2'],
    ['an appProtocol the mesh does not know', { '80.service.kuma.io/protocol': 'grpc' }, 'kubernetes.io/ws', 'grpc'],
    ['appProtocol before annotation', { '80.service.kuma.io/protocol': 'grpc' }, 'http', 'http'],
    ['annotation of another port', { '81.service.kuma.io/protocol': 'grpc' }, undefined, 'tcp'],
    ['an empty annotation', { '80.service.kuma.io/protocol': '' }, undefined, 'tcp'],
  ])('protocol: %s', (_what, annotations, appProtocol, expected) => {
    const port = { port: 80, targetPort: 8080, ...(appProtocol === undefined ? {} : { appProtocol }) };
    const services = [service({ annotations, spec: { selector: { app: 'web' }, ports: [port] } })];
    expect(inbounds({ services })[0]?.tags?.['kuma.io/protocol']).toBe(expected);
  });

  it('refuses a protocol annotation that is none', () => {
    const services = [service({ annotations: { '80.service.kuma.io/protocol': 'smtp' } })];
    expect(outcome({ services })).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('tag "kuma.io/protocol" has an invalid value "smtp"'),
    });
  });

  it('names the instance behind a headless Service', () => {
    const services = [service({ spec: { clusterIP: 'None', selector: { app: 'web' }, ports: [{ port: 80 }] } })];
    expect(inbounds({ services })[0]?.tags).toMatchObject({ 'kuma.io/instance': 'web-6d5f9c-x2x' });
    expect(inbounds({})[0]?.tags).not.toHaveProperty('kuma.io/instance');
  });

  const readiness: [string, PodParts, string][] = [
    ['everything is ready', {}, 'Ready'],
    ['no status yet', { status: { containerStatuses: [], initContainerStatuses: [] } }, 'Ready'],
    ['the container is not', { status: { containerStatuses: [{ name: 'app', ready: false }] } }, 'NotReady'],
    ['another container is not', { status: { containerStatuses: [{ name: 'log', ready: false }] } }, 'Ready'],
    [
      'the native sidecar is not',
      { status: { initContainerStatuses: [{ name: 'kuma-sidecar', ready: false }] } },
      'NotReady',
    ],
    [
      'another init container is not',
      { status: { initContainerStatuses: [{ name: 'kuma-init', ready: false }] } },
      'Ready',
    ],
    [
      'the ordinary sidecar is not',
      {
        status: {
          containerStatuses: [
            { name: 'app', ready: true },
            { name: 'kuma-sidecar', ready: false },
          ],
          initContainerStatuses: [],
        },
      },
      'NotReady',
    ],
    ['it is terminating', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, 'NotReady'],
  ];
  it.each(readiness)('readiness: %s', (_what, parts, expected) => {
    const [inbound] = inbounds({ pod: pod(parts) });
    expect(inbound).toMatchObject({ state: expected, health: { ready: expected === 'Ready' } });
    expect(inbounds({ pod: pod(parts), services: [] })[0]).toMatchObject({
      // Without a Service every container of the application counts.
      state: expected,
    });
  });

  it('asks every container when none says that it has the port', () => {
    const services = [service({ spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 7000 }] } })];
    const two = pod({
      spec: { containers: [{ name: 'app' }, { name: 'log' }] },
      status: {
        containerStatuses: [
          { name: 'app', ready: true },
          { name: 'log', ready: false },
        ],
      },
    });
    expect(inbounds({ pod: two, services })[0]?.state).toBe('NotReady');
  });

  it('ignores an inbound whose selector matches only by labels that do not count', () => {
    const services = [
      service({ spec: { selector: { app: 'web', colour: 'blue' }, ports: [{ port: 80, targetPort: 8080 }] } }),
    ];
    expect(inbounds({ services }, { ignoredServiceSelectorLabels: ['colour'] })[0]).toMatchObject({
      state: 'Ignored',
      health: { ready: false },
    });
    expect(inbounds({ services })[0]?.port).toBe(49151);
  });

  const owner = (kind: string, name: string) => ({ apiVersion: 'x', kind, name, uid: 'o' });
  it.each([
    [
      'a Deployment',
      {
        name: 'my-web-6d5f9c-x2x',
        labels: { 'pod-template-hash': '6d5f9c' },
        ownerReferences: [owner('ReplicaSet', 'my-web-6d5f9c')],
      },
      'my-web',
    ],
    [
      'a Deployment with a name too long for its Pods',
      {
        name: `${'a'.repeat(58)}x2x4z`,
        labels: { 'pod-template-hash': '6d5f9c' },
        ownerReferences: [owner('ReplicaSet', `${'a'.repeat(60)}-6d5f9c`)],
      },
      'a'.repeat(60),
    ],
    ['a bare ReplicaSet', { name: 'my-own-rs-x2x', ownerReferences: [owner('ReplicaSet', 'my-own-rs')] }, 'my-own'],
    [
      'a CronJob',
      { name: 'backup-db-28937465-abcde', ownerReferences: [owner('Job', 'backup-db-28937465')] },
      'backup-db',
    ],
    ['a bare Job', { name: 'migrate-abcde', ownerReferences: [owner('Job', 'migrate')] }, 'migrate-abcde'],
    ['a StatefulSet', { name: 'my-db-0', ownerReferences: [owner('StatefulSet', 'my-db')] }, 'my'],
    ['nothing', { name: 'alone' }, 'alone'],
  ])('without a Service: service of %s', (_what, metadata, workload) => {
    const got = inbounds({ pod: pod({ metadata }), services: [] });
    expect(got).toHaveLength(1);
    expect(got[0]).toMatchObject({
      port: 49151,
      tags: {
        'kuma.io/service': `${workload}_shop_svc`,
        'kuma.io/instance': metadata.name,
        'kuma.io/protocol': 'tcp',
        'k8s.kuma.io/namespace': 'shop',
        'kuma.io/zone': 'east',
      },
    });
  });

  it('redirect: ports, family, scope', () => {
    const annotations = {
      ...REDIRECT,
      'kuma.io/transparent-proxying-ip-family-mode': 'ipv4',
      'kuma.io/transparent-proxying-reachable-services': 'a_shop_svc_80, b_shop_svc_80,',
      'kuma.io/direct-access-services': '*',
      'kuma.io/reachable-backends':
        'refs:\n- kind: MeshService\n  name: db\n  port: 5432\n- kind: MeshService\n  labels: {a: b}\n',
    };
    const status = { podIP: 'fd00::5', podIPs: [{ ip: 'fd00::5' }, { ip: '10.0.0.5' }] };
    expect(spec({ pod: pod({ annotations, status }) }).networking).toMatchObject({
      address: '10.0.0.5',
      transparentProxying: {
        redirectPortInbound: 15006,
        redirectPortOutbound: 15001,
        ipFamilyMode: 'IPv4',
        reachableServices: ['a_shop_svc_80', 'b_shop_svc_80'],
        directAccessServices: ['*'],
        reachableBackends: {
          refs: [
            { kind: 'MeshService', name: 'db', port: 5432 },
            { kind: 'MeshService', labels: { a: 'b' } },
          ],
        },
      },
    });
    expect(spec({ pod: pod({ annotations: REDIRECT, status }) }).networking).toMatchObject({
      address: 'fd00::5',
      transparentProxying: { ipFamilyMode: 'DualStack' },
    });
    expect(spec({ pod: pod({ status }) }).networking).not.toHaveProperty('transparentProxying');
  });

  it('a delegated gateway has the tags of its first inbound, and no other protocol than tcp', () => {
    const services = [service({ annotations: { '80.service.kuma.io/protocol': 'http' } })];
    const networking = spec({ pod: pod({ annotations: { 'kuma.io/gateway': 'enabled' } }), services }).networking;
    expect(networking?.inbound).toBeUndefined();
    expect(networking?.gateway).toMatchObject({ type: 'DELEGATED', tags: { 'kuma.io/service': 'web_shop_svc_80' } });
    expect(networking?.gateway?.tags).not.toHaveProperty('kuma.io/protocol');
  });

  it('takes the admin port and the virtual probes that the injector wrote', () => {
    const httpGet = (port: number | string, path: string) => ({ httpGet: { port, path } });
    const annotations = {
      'kuma.io/envoy-admin-port': '9901',
      'kuma.io/virtual-probes': 'enabled',
      'kuma.io/virtual-probes-port': '9000',
    };
    const containers = [
      {
        name: 'app',
        ports: [{ containerPort: 8080 }],
        livenessProbe: httpGet(9000, '/8080/live?x=1'),
        readinessProbe: httpGet(9000, '/8080'),
        startupProbe: httpGet(8080, '/not-moved'),
      },
      { name: 'kuma-sidecar', readinessProbe: httpGet(9000, '/9901/ready') },
    ];
    const initContainers = [
      { name: 'before', restartPolicy: 'Always', livenessProbe: httpGet(9000, '/1/before') },
      { name: 'kuma-sidecar', restartPolicy: 'Always' },
      {
        name: 'after',
        restartPolicy: 'Always',
        livenessProbe: httpGet(9000, '/70/after'),
        readinessProbe: httpGet(9000, '/tcp/70'),
        startupProbe: httpGet(9000, '/grpc/71/shop.Api'),
      },
    ];
    expect(spec({ pod: pod({ annotations, spec: { containers, initContainers } }) })).toMatchObject({
      networking: { admin: { port: 9901 } },
      probes: {
        port: 9000,
        endpoints: [
          { inboundPort: 70, inboundPath: '/after', path: '/70/after' },
          { inboundPort: 70, inboundPath: '/tcp/70', path: '/tcp/70' },
          { inboundPort: 71, inboundPath: '/grpc/71/shop.Api', path: '/grpc/71/shop.Api' },
          { inboundPort: 8080, inboundPath: '/live?x=1', path: '/8080/live?x=1' },
          { inboundPort: 8080, inboundPath: '/', path: '/8080' },
        ],
      },
    });
  });

  it.each([
    [{ 'kuma.io/transparent-proxying': 'maybe' }, 'annotation "kuma.io/transparent-proxying" has wrong value "maybe"'],
    [
      { 'kuma.io/transparent-proxying': 'enabled' },
      'transparent proxying inbound port has to be set in transparent mode',
    ],
    [
      { ...REDIRECT, 'kuma.io/transparent-proxying-outbound-port': 'x' },
      'failed to parse annotation "kuma.io/transparent-proxying-outbound-port": "x" is not a port in the range [0, 65535]',
    ],
    [{ ...REDIRECT, 'kuma.io/transparent-proxying-ip-family-mode': 'ipv6' }, "invalid ip family mode 'ipv6'"],
    [
      { ...REDIRECT, 'kuma.io/reachable-backends': 'refs: 1' },
      'cannot parse, kuma.io/reachable-backends has invalid format',
    ],
    [{ ...REDIRECT, 'kuma.io/reachable-backends': '{' }, 'cannot parse, kuma.io/reachable-backends has invalid format'],
    [{ 'kuma.io/gateway': 'yes' }, "invalid delegated gateway type 'yes'"],
    [{ 'kuma.io/gateway': 'builtin' }, 'builtin gateways are not supported'],
    [
      { 'kuma.io/envoy-admin-port': '70000' },
      'failed to parse annotation "kuma.io/envoy-admin-port": "70000" is not a port in the range [0, 65535]',
    ],
    [
      { 'kuma.io/envoy-admin-port': '-1' },
      'failed to parse annotation "kuma.io/envoy-admin-port": "-1" is not a port in the range [0, 65535]',
    ],
    [{ 'kuma.io/virtual-probes': 'true' }, "kuma.io/virtual-probes-port annotation doesn't exist"],
    [{ 'kuma.io/sidecar-injected': 'perhaps' }, 'annotation "kuma.io/sidecar-injected" has wrong value "perhaps"'],
  ])('is refused with Kuma’s words: %j', (annotations, reason) => {
    expect(outcome({ pod: pod({ annotations }) })).toEqual({ kind: 'refused', reason });
  });

  it.each<[string, PodParts, string]>([
    ['it succeeded', { status: { phase: 'Succeeded' } }, 'pod succeeded'],
    ['it failed', { status: { phase: 'Failed' } }, 'pod failed'],
    ['it was evicted', { status: { phase: 'Failed', reason: 'Evicted' } }, 'pod was evicted'],
    ['it has no address', { status: { podIP: '' } }, 'pod IP is empty'],
  ])('is gone when %s', (_what, parts, reason) => {
    expect(outcome({ pod: pod(parts) })).toEqual({ kind: 'gone', reason });
  });

  it('is outside without the mark of the injector', () => {
    expect(outcome({ pod: pod({ metadata: { annotations: {} } }) })).toEqual({ kind: 'outside' });
    expect(outcome({ pod: pod({ annotations: { 'kuma.io/sidecar-injected': 'false' } }) })).toEqual({
      kind: 'outside',
    });
  });

  it('says when its mesh is missing, or does not take it', () => {
    expect(outcome({ pod: pod({ metadata: { labels: { 'kuma.io/mesh': 'gone' } } }) })).toEqual({
      kind: 'refused',
      reason: 'mesh "gone" does not exist; create it, or correct the label kuma.io/mesh',
    });
    const picky: MeshSpec = { constraints: { dataplaneProxy: { requirements: [{ tags: { team: 'red' } }] } } };
    expect(outcome({}, { spec: picky })).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('does not fulfill any requirements'),
    });
  });

  it('is called by its Pod alone in the system namespace', () => {
    const got = outcome({ pod: pod({ metadata: { namespace: 'kong-mesh-system', name: 'web' } }), services: [] });
    expect(got).toMatchObject({ dataplane: { meta: { name: 'web' } } });
  });
});
