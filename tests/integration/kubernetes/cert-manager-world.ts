import { randomBytes } from 'node:crypto';
import { certManagerCa } from '../../../src/ca/certmanager/backend.ts';
import { createCertManager } from '../../../src/ca/certmanager/cert-manager.ts';
import type { DesiredIdentity, IdentityEvent, IdentityService } from '../../../src/identity/identity.ts';
import type { LeafRecord } from '../../../src/identity/sealed.ts';
import { createIdentityService } from '../../../src/identity/service.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import { createMetrics } from '../../../src/lib/metrics.ts';
import type { MeshMtls } from '../../../src/resources/kinds/mesh.ts';
import { createCaDependencies } from '../../../src/testing/ca-contract.ts';
import { createTestCa, type TestCertificate } from '../../../src/testing/certificates.ts';
import type { Cluster } from '../../cluster/cluster.ts';

export const NAMESPACE = 'kong-mesh-system';
const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Just what the control plane may do around cert-manager. */
const RIGHTS = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'weft-control-plane', namespace: NAMESPACE } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'weft', namespace: NAMESPACE },
    rules: [
      {
        apiGroups: ['cert-manager.io'],
        resources: ['certificaterequests'],
        verbs: ['create', 'get', 'list', 'watch', 'delete'],
      },
      { apiGroups: ['cert-manager.io'], resources: ['issuers'], verbs: ['get', 'list', 'watch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'weft', namespace: NAMESPACE },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'weft' },
    subjects: [{ kind: 'ServiceAccount', name: 'weft-control-plane', namespace: NAMESPACE }],
  },
];

/** An Issuer of the system namespace with a CA of its own; a second call replaces the CA. */
export async function applyIssuer(cluster: Cluster, name = 'my-ca-issuer', lifeMs?: number): Promise<TestCertificate> {
  const ca = await createTestCa({
    uriSans: [],
    subject: `CN=${name}`,
    ...(lifeMs === undefined ? {} : { to: lifeMs }),
  });
  const items = [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: `${name}-ca`, namespace: NAMESPACE },
      data: { 'tls.crt': base64(ca.pem), 'tls.key': base64(ca.keyPem) },
    },
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Issuer',
      metadata: { name, namespace: NAMESPACE },
      spec: { ca: { secretName: `${name}-ca` } },
    },
  ];
  await cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await cluster.kubectl('wait', '--for=condition=Ready', `issuer/${name}`, '-n', NAMESPACE);
  return ca;
}

/** The account of the control plane, which may nothing yet. */
export function applyAccount(cluster: Cluster): Promise<string> {
  return cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: RIGHTS.slice(0, 2) }));
}

export function applyRights(cluster: Cluster): Promise<string> {
  return cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: RIGHTS }));
}

/** One control plane as far as issuance goes, with the rights of its ServiceAccount. Records outlive it when they are handed on. */
export interface World extends AsyncDisposable {
  readonly identity: IdentityService;
  readonly client: KubeClient;
  readonly events: readonly IdentityEvent[];
  readonly metrics: ReturnType<typeof createMetrics>;
  want(proxy: string, change?: Partial<DesiredIdentity>, mesh?: string): void;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly kubeconfig: string;
  readonly records?: Map<string, LeafRecord>;
  readonly sealingKey?: Buffer;
}

export function createDependencies(client: KubeClient, metrics = createMetrics()) {
  const certManager = createCertManager({
    client,
    systemNamespace: NAMESPACE,
    instanceId: `cp-${randomBytes(4).toString('hex')}`,
    zone: 'default',
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
    metrics,
  });
  return { certManager, deps: createCaDependencies({ certManager }) };
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { records = new Map<string, LeafRecord>(), sealingKey = randomBytes(32) } = options;
  const client = await connectKubernetes({ env: { KUBECONFIG: options.kubeconfig } });
  const metrics = createMetrics();
  const { certManager, deps } = createDependencies(client, metrics);
  const identity = createIdentityService({
    caKinds: [certManagerCa],
    caDependencies: deps,
    memories: { load: async () => [], save: async () => undefined, remove: async () => undefined },
    records: {
      load: async () => [...records.values()],
      async save(saved) {
        for (const record of saved) records.set(record.proxy.name, record);
      },
      async remove(proxies) {
        for (const { name } of proxies) records.delete(name);
      },
    },
    sealingKey,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
    metrics,
  });
  await identity.start();
  const events: IdentityEvent[] = [];
  identity.subscribe((event) => events.push(event));
  async function close(): Promise<void> {
    await identity.close();
    await certManager.close();
    await client.close();
  }
  return {
    identity,
    client,
    events,
    metrics,
    want(proxy, change = {}, mesh = 'default') {
      const service = proxy.replace(/-\d+$/, '');
      identity.want(
        { mesh, name: proxy },
        {
          backend: 'certmanager-1',
          uriSans: [`spiffe://${mesh}/${service}`, `kuma://kuma.io/service/${service}`],
          lifetimeMs: 3_600_000,
          keyType: 'ec-p256',
          ...change,
        },
      );
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export const mtlsOf = (conf: Record<string, unknown>): MeshMtls => ({
  enabledBackend: 'certmanager-1',
  backends: [{ name: 'certmanager-1', type: 'certmanager', conf }],
});
