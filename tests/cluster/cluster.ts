import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startApiServer } from './api-server.ts';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ClusterLevel, clusterBinaries, missingCluster, usesOwnCluster } from './binaries.ts';
import { type CertManager, type CertManagerOptions, startCertManager } from './cert-manager.ts';
import { startControllers } from './controllers.ts';
import { type Credentials, createCredentials } from './credentials.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { createKubectl } from './kubectl.ts';
import { startNode } from './node.ts';
import { claimNode } from './node-lock.ts';
import { NODE_ADDRESS, setUpNetwork } from './node-network.ts';
import { connectOwnCluster } from './own-cluster.ts';
import { createStateDirectory, recordNode, sweep, tearDown } from './state-directory.ts';

/*
 * A real Kubernetes for tests, without a container engine: etcd, kube-apiserver, the controllers and cert-manager as processes of this machine.
 *
 *   test process ── starts ──> etcd, kube-apiserver, kube-controller-manager, cert-manager
 *        └── pipe ──> watchdog: when the pipe closes (stop, or the test died), ends them all and removes their files
 */

/** Who a kubeconfig is for. A user exists by being named; a ServiceAccount must exist. */
export type Identity =
  | { readonly serviceAccount: string; readonly namespace: string }
  | { readonly user: string; readonly groups?: readonly string[] };

export interface ClusterOptions {
  readonly level: ClusterLevel;
  /** False: not installed. `webhook`: its admission too, which alone checks who may approve a request; default false. */
  readonly certManager?: false | (CertManagerOptions & { readonly webhook?: boolean });
  /** Writes down every request to the API server; default false. */
  readonly audit?: boolean;
  /**
   * Kubernetes' own controllers: ServiceAccount `default` of a namespace (no Pod is accepted without), namespaces, garbage collection by owner
   * reference, Deployments, EndpointSlices. Default true; always there at level `node`.
   */
  readonly controllers?: boolean;
}

/** A cluster that is up. At a user's own cluster, what would start or stop parts of it throws "not available". */
export interface Cluster extends AsyncDisposable {
  readonly level: ClusterLevel;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** `https://…`, as seen from this machine. */
  readonly server: string;
  /** PEM of what signed the API server's certificate. */
  readonly ca: string;
  /** Undefined unless asked for. */
  readonly audit: AuditLog | undefined;
  /** Path or name of the kubectl that goes with it. */
  readonly kubectlProgram: string;
  /** kubectl as administrator: its standard output; throws with its standard error when it fails. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** `kubectl apply -f -` with further arguments. */
  applyYaml(text: string, ...args: readonly string[]): Promise<string>;
  /** Path of a kubeconfig of somebody else; its credentials last an hour at least. */
  kubeconfigFor(identity: Identity): Promise<string>;
  /** Ends kube-apiserver; its data stays. */
  stopApiServer(): Promise<void>;
  /** Resolves when the API server is ready again, at the same address. */
  startApiServer(): Promise<void>;
  stopCertManager(): Promise<void>;
  startCertManager(options?: CertManagerOptions): Promise<void>;
  /** Makes the images of a tar file (`scripts/oci-image.mjs`, `docker save`) known to the node; Pods use them with `imagePullPolicy: Never`. */
  loadImage(tar: string): Promise<void>;
  /** Ends everything that was started and removes its files. Twice is harmless. */
  stop(): Promise<void>;
}

/** Starts a cluster, or connects to the user's own (WEFT_TEST_CLUSTER=user and KUBECONFIG). Throws what `missingCluster` says. The caller stops it. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const missing = missingCluster(options.level);
  if (missing !== undefined) throw new Error(`start a cluster: ${missing}`);
  if (usesOwnCluster()) return connectOwnCluster(options.level);
  const binaries = await clusterBinaries(options.level);
  await sweep();
  const directory = createStateDirectory();
  const watchdog = await startWatchdog(directory);
  try {
    return await start(options, { directory, binaries, stop: watchdog.stop });
  } catch (error) {
    await watchdog.stop();
    throw error;
  }
}

async function start(
  options: ClusterOptions,
  held: {
    readonly directory: string;
    readonly binaries: Awaited<ReturnType<typeof clusterBinaries>>;
    readonly stop: () => Promise<void>;
  },
): Promise<Cluster> {
  const { directory, binaries, stop } = held;
  const { level, controllers = true } = options;
  const audit = options.audit === true ? createAuditLog(directory) : undefined;
  const limited =
    options.certManager !== false && (options.certManager?.qps ?? options.certManager?.burst) !== undefined;
  const nodes = level === 'node';
  if (nodes) {
    await claimNode(directory, sweep);
    recordNode(directory);
    setUpNetwork(directory);
  }
  const address = nodes ? NODE_ADDRESS : '127.0.0.1';
  const credentials = await createCredentials(directory, address);
  const api = await startApiServer({
    directory,
    binaries,
    credentials,
    address,
    priorityAndFairness: !limited,
    extraFlags: [...(audit?.flags ?? []), ...(nodes ? await kubeletClientFlags(directory, credentials) : [])],
  });
  const { server } = api;
  const writeKubeconfig = (name: string, user: Parameters<typeof kubeconfigText>[0]['user'], namespace?: string) => {
    const file = join(directory, `${name}.kubeconfig`);
    writeFileSync(file, kubeconfigText({ server, ca: credentials.ca, user, namespace }), { mode: 0o600 });
    return file;
  };
  const kubeconfigOf = async (user: string, groups: readonly string[]) =>
    writeKubeconfig(user.replaceAll(':', '-'), await credentials.clientCertificate(user, groups));
  const kubeconfig = writeKubeconfig('admin', { token: credentials.adminToken });
  const kubectl = createKubectl(binaries.program('kubectl'), kubeconfig);
  const parts = { directory, binaries, credentials, server, kubectl };

  const [certManager, , containers] = await Promise.all([
    options.certManager === false
      ? undefined
      : startCertManager({
          ...parts,
          controller: options.certManager ?? {},
          priorityAndFairness: !limited,
          webhook: options.certManager?.webhook ?? false,
        }),
    controllers || nodes
      ? startControllers({ ...parts, kubeconfig: await kubeconfigOf('system:kube-controller-manager', []), nodes })
      : undefined,
    nodes ? startNode({ ...parts, kubeconfigOf }) : undefined,
  ]);

  const installed = (): CertManager => {
    if (certManager === undefined) throw new Error('cert-manager: not available, it was not asked for');
    return certManager;
  };
  return {
    level,
    kubectlProgram: binaries.program('kubectl'),
    kubeconfig,
    server,
    ca: credentials.ca,
    audit: audit?.log,
    kubectl: (...args) => kubectl(args),
    applyYaml: (text, ...args) => kubectl(['apply', '-f', '-', ...args], text),
    async kubeconfigFor(identity) {
      if ('user' in identity) return kubeconfigOf(identity.user, identity.groups ?? []);
      const { serviceAccount, namespace } = identity;
      const token = await kubectl(['create', 'token', serviceAccount, '--namespace', namespace, '--duration=24h']);
      return writeKubeconfig(`account-${namespace}-${serviceAccount}`, { token: token.trim() }, namespace);
    },
    stopApiServer: () => api.stop(),
    startApiServer: () => api.start(),
    stopCertManager: async () => installed().stop(),
    startCertManager: async (how) => installed().start(how),
    async loadImage(tar) {
      if (containers === undefined) throw new Error('load an image: not available, the cluster has no node');
      await containers.loadImage(tar);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** How kube-apiserver reaches kubelet, for `kubectl logs` and `exec`. */
async function kubeletClientFlags(directory: string, credentials: Credentials): Promise<readonly string[]> {
  const { certificate, key } = await credentials.clientCertificate('kube-apiserver-kubelet-client', []);
  const files = { certificate: join(directory, 'kubelet-client.crt'), key: join(directory, 'kubelet-client.key') };
  writeFileSync(files.certificate, certificate);
  writeFileSync(files.key, key, { mode: 0o600 });
  return [
    ...[`--kubelet-client-certificate=${files.certificate}`, `--kubelet-client-key=${files.key}`],
    ...[`--kubelet-certificate-authority=${credentials.caFile}`, '--kubelet-preferred-address-types=InternalIP'],
  ];
}

/** Starts the process that outlives this one just long enough to take the cluster down. `stop` resolves when that is done. */
async function startWatchdog(directory: string): Promise<{ stop(): Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'watchdog.ts'), directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.stdin.on('error', () => {});
  return {
    async stop() {
      child.stdin.end();
      await exited;
      // Only when somebody killed the watchdog is there anything left.
      await tearDown(directory);
    },
  };
}
