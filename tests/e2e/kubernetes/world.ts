/**
 * Weft on a real cluster with real Pods, as the page has it: cert-manager, an Issuer with a CA of the test's, Weft out of `weft install control-plane`,
 * the page's Mesh, and a namespace whose Pods get a sidecar. Everything is applied with kubectl, as a platform engineer would.
 */
import { execFile } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { createTestCa, type TestCertificate } from '../../../src/testing/certificates.ts';
import type { CertManagerOptions } from '../../cluster/cert-manager.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { weftImages } from '../../cluster/images.ts';
import { eventually, http } from '../mesh.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../../..');
const MAX_OUTPUT = 64 * 1024 * 1024;

export const SYSTEM = 'kong-mesh-system';
export const SHOP = 'shop';
export const APP_PORT = 8080;
/** Left out of the redirect, so that the test can ask a client how it went. */
export const STATS_PORT = 9999;
const IMAGE = 'weft/control-plane:0.1.0';

/** How a client's requests went; every one was counted once. */
export interface ClientStats {
  readonly pod: string;
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  /** RFC 3339: the first good answer, or the first after one that was not; absent while they are not. */
  readonly goodSince?: string;
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly podIP?: string;
    readonly phase: string;
    readonly containerStatuses?: readonly { ready: boolean }[];
  };
}

export interface World {
  readonly cluster: Cluster;
  /** What kubectl says as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: objects of the cluster are looked into by hand in tests
  json(...args: readonly string[]): Promise<any>;
  apply(...objects: readonly object[]): Promise<void>;
  weft(...args: readonly string[]): Promise<string>;
  /** A Secret with this CA, or another CA in it, and an Issuer (ClusterIssuer) that uses it. */
  applyIssuer(options: { name: string; kind?: 'Issuer' | 'ClusterIssuer'; ca: TestCertificate }): Promise<void>;
  /** `count` Pods of a server or of clients, as a Deployment with a Service. Resolves when all are ready. */
  deploy(app: AppOptions): Promise<void>;
  pods(app: string): Promise<readonly Pod[]>;
  /** All clients of an app; asked at their Pod addresses. */
  stats(app: string): Promise<readonly ClientStats[]>;
  /** One call out of a Pod of a client: status and body, or the error as its application sees it. */
  call(app: string, url: string): Promise<{ status?: number; body?: string; error?: string }>;
  /** Envoy's admin API in a Pod, through a forwarded port. */
  envoyAdmin(pod: string, path: string): Promise<string>;
  /** The leaf that the sidecar of each Pod of a server shows to whoever connects. */
  leaves(app: string): Promise<readonly X509Certificate[]>;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly name: string;
  readonly count: number;
  readonly args: readonly string[];
  readonly namespace?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** False: no Service stands before it. */
  readonly service?: boolean;
}

/** With mTLS on and no permission, nobody may talk to anybody. */
export const ALLOW_ALL = {
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'MeshTrafficPermission',
  metadata: { name: 'allow-all', namespace: SYSTEM, labels: { 'kuma.io/mesh': 'default' } },
  spec: { targetRef: { kind: 'Mesh' }, from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
};

/** The Mesh of the page (`caCert` left out when there is no `ca`), or another one like it. */
export function pageMesh(options: { name?: string; ca?: string; expiration?: string; conf?: object } = {}): object {
  return {
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Mesh',
    metadata: { name: options.name ?? 'default' },
    spec: {
      mtls: {
        enabledBackend: 'certmanager-1',
        backends: [
          {
            name: 'certmanager-1',
            type: 'certmanager',
            dpCert: { rotation: { expiration: options.expiration ?? '24h' } },
            conf: options.conf ?? {
              issuerRef: { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' },
              ...(options.ca === undefined ? {} : { caCert: { inlineString: options.ca } }),
            },
          },
        ],
      },
    },
  };
}

export async function createWorld(
  options: { certManager?: CertManagerOptions & { webhook?: boolean }; replicas?: number } = {},
): Promise<World> {
  const images = await weftImages();
  const cluster = await startCluster({
    level: 'node',
    audit: true,
    certManager: options.certManager ?? { qps: 1000, burst: 1000 },
  });
  try {
    return await furnish(cluster, images, options.replicas ?? 1);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function furnish(cluster: Cluster, images: readonly string[], replicas: number): Promise<World> {
  const weft = async (...args: readonly string[]) => {
    const { stdout } = await run(process.execPath, ['dist/bin/weft.js', ...args], {
      cwd: ROOT,
      maxBuffer: MAX_OUTPUT,
      env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    });
    return stdout;
  };
  const apply = async (...items: readonly object[]) => {
    await cluster.applyYaml(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  };
  await Promise.all(images.map((tar) => cluster.loadImage(tar)));
  await cluster.applyYaml(
    await weft('install', 'control-plane', '--set', `controlPlane.replicas=${replicas}`),
    '--server-side',
  );
  await cluster.kubectl('-n', SYSTEM, 'rollout', 'status', 'deployment/weft-control-plane', '--timeout=120s');
  const app = await readFile(join(import.meta.dirname, 'pod-app.mjs'), 'utf8');
  await apply(
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: SHOP, labels: { 'kuma.io/sidecar-injection': 'enabled' } },
    },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'outside' } },
    ...[SHOP, 'outside'].map((namespace) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'pod-app', namespace },
      data: { 'app.mjs': app },
    })),
  );

  const json = async (...args: readonly string[]) => JSON.parse(await cluster.kubectl(...args, '-o', 'json'));
  const pods = async (name: string, namespace = SHOP): Promise<readonly Pod[]> =>
    (await json('-n', namespace, 'get', 'pods', '-l', `app=${name}`)).items.filter(
      (pod: { metadata: { deletionTimestamp?: string } }) => pod.metadata.deletionTimestamp === undefined,
    );
  const addressOf = new Map<string, readonly string[]>();
  const addresses = async (name: string) => {
    // Known once: the API server may be away when the test asks again.
    const known = addressOf.get(name);
    if (known !== undefined) return known;
    const found = (await pods(name, name.startsWith('stranger') ? 'outside' : SHOP)).map((pod) => pod.status.podIP!);
    addressOf.set(name, found);
    return found;
  };

  const world: World = {
    cluster,
    json,
    apply,
    weft,
    async applyIssuer({ name, kind = 'Issuer', ca }) {
      const cluster_ = kind === 'ClusterIssuer';
      const namespace = cluster_ ? 'cert-manager' : SYSTEM;
      const secretName = `${name}-ca`;
      await apply(
        {
          apiVersion: 'v1',
          kind: 'Secret',
          type: 'kubernetes.io/tls',
          metadata: { name: secretName, namespace },
          data: {
            'tls.crt': Buffer.from(ca.pem).toString('base64'),
            'tls.key': Buffer.from(ca.keyPem).toString('base64'),
          },
        },
        {
          apiVersion: 'cert-manager.io/v1',
          kind,
          metadata: { name, ...(cluster_ ? {} : { namespace }) },
          spec: { ca: { secretName } },
        },
      );
      const at = cluster_ ? [] : ['-n', namespace];
      await cluster.kubectl(...at, 'wait', '--for=condition=Ready', '--timeout=30s', `${kind.toLowerCase()}/${name}`);
    },
    async deploy({ name, count, args, namespace = SHOP, annotations = {}, labels = {}, service = true }) {
      await apply(...appObjects({ name, count, args, namespace, annotations, labels, service }));
      await cluster.kubectl('-n', namespace, 'rollout', 'status', `deployment/${name}`, '--timeout=180s');
      addressOf.delete(name);
    },
    pods: (name) => pods(name),
    stats: async (name) =>
      Promise.all(
        (await addresses(name)).map(
          async (address) => JSON.parse((await http(`http://${address}:${STATS_PORT}/stats`)).body) as ClientStats,
        ),
      ),
    async call(name, url) {
      const [address] = await addresses(name);
      const answer = await http(`http://${address}:${STATS_PORT}/call?url=${encodeURIComponent(url)}`);
      return JSON.parse(answer.body);
    },
    async envoyAdmin(pod, path) {
      const script = `require('http').get('http://127.0.0.1:9901${path}',r=>r.pipe(process.stdout))`;
      return cluster.kubectl('-n', SHOP, 'exec', pod, '-c', 'app', '--', '/usr/local/bin/node', '-e', script);
    },
    leaves: async (name) => Promise.all((await addresses(name)).map(shownLeaf)),
    close: () => cluster.stop(),
  };
  return world;
}

/** A server shows its certificate before it asks for the client's, so this needs none. */
async function shownLeaf(address: string): Promise<X509Certificate> {
  const socket = connect({ host: address, port: APP_PORT, rejectUnauthorized: false });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  const leaf = socket.getPeerX509Certificate();
  socket.destroy();
  if (leaf === undefined) throw new Error(`look at the leaf of ${address}: it showed none`);
  return leaf;
}

function appObjects(app: Required<AppOptions>): readonly object[] {
  const { name, count, args, namespace, annotations, labels } = app;
  const isServer = args[0] === 'server';
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      selector: { app: name },
      ports: [{ name: 'http', port: APP_PORT, targetPort: APP_PORT, appProtocol: 'http' }],
    },
  };
  return [
    ...(app.service ? [service] : []),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: {
        replicas: count,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: {
            labels: { app: name, ...labels },
            annotations: { 'traffic.kuma.io/exclude-inbound-ports': String(STATS_PORT), ...annotations },
          },
          spec: {
            terminationGracePeriodSeconds: 10,
            // Another user than the sidecar's, whose traffic is not redirected.
            securityContext: { runAsUser: 1000, runAsGroup: 1000 },
            containers: [
              appContainer({
                args,
                port: isServer ? APP_PORT : STATS_PORT,
                readinessProbe: isServer
                  ? { httpGet: { path: '/ready', port: APP_PORT }, periodSeconds: 1 }
                  : { httpGet: { path: '/stats', port: STATS_PORT }, periodSeconds: 1 },
                ...(isServer ? { lifecycle: { preStop: { sleep: { seconds: 2 } } } } : {}),
              }),
            ],
            volumes: [{ name: 'app', configMap: { name: 'pod-app' } }],
          },
        },
      },
    },
  ];
}

/** A container of `pod-app.mjs`; further fields as Kubernetes has them. Its Pod has the volume `app`. */
export function appContainer(container: {
  readonly name?: string;
  readonly args: readonly string[];
  readonly port?: number;
  readonly readinessProbe?: object;
  readonly lifecycle?: object;
}): object {
  const { name = 'app', args, port, ...more } = container;
  return {
    name,
    image: IMAGE,
    imagePullPolicy: 'Never',
    command: ['/usr/local/bin/node', '/app/app.mjs', ...args],
    ...(port === undefined ? {} : { ports: [{ containerPort: port }] }),
    volumeMounts: [{ name: 'app', mountPath: '/app' }],
    // Without, it gets what nobody else wants.
    resources: { requests: { cpu: '50m' } },
    ...more,
  };
}

export { createTestCa, eventually };
