import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What a cluster can do: `api` answers and issues certificates, `node` also runs Pods. */
export type ClusterLevel = 'api' | 'node';

const SCRIPT = join(import.meta.dirname, '../../scripts/build-cluster.sh');
const CNI_FOLDER = '/usr/lib/cni';
const NEIGHBOURS: Readonly<Record<ClusterLevel, readonly string[]>> = {
  api: ['etcd'],
  node: ['etcd', 'containerd', 'ctr', 'runc', 'ip', 'nft'],
};

/**
 * Why this machine cannot have a cluster of that level, or `undefined` when it can. On a person's machine the tests then skip; under CI=true
 * they are to fail. With WEFT_TEST_CLUSTER=user the cluster that KUBECONFIG names is used, and only kubectl is needed.
 */
export function missingCluster(level: ClusterLevel): string | undefined {
  if (usesOwnCluster()) return findProgram('kubectl') === undefined ? 'needs kubectl in PATH' : undefined;
  if (process.platform !== 'linux') return `needs Linux (here: ${process.platform})`;
  const missing = NEIGHBOURS[level].filter((name) => findProgram(name) === undefined);
  if (missing.length > 0)
    return `needs ${missing.join(', ')} in PATH: scripts/setup.sh cluster installs them on Debian`;
  if (level === 'node' && process.getuid?.() !== 0) return 'needs root: containers, network namespaces and mounts';
  if (level === 'node' && !existsSync(join(CNI_FOLDER, 'bridge')))
    return `needs CNI plugins in ${CNI_FOLDER} (Debian: apt-get install containernetworking-plugins)`;
  if (!isBuilt(level) && findProgram('go') === undefined)
    return 'needs Go to build Kubernetes once: no go in PATH (https://go.dev/doc/install)';
  return undefined;
}

/** Whether tests use the cluster of KUBECONFIG: WEFT_TEST_CLUSTER=user. KUBECONFIG alone is not enough, it may name any cluster. */
export function usesOwnCluster(): boolean {
  return process.env['WEFT_TEST_CLUSTER'] === 'user';
}

/** Where the programs of the cluster are. */
export interface ClusterBinaries {
  /** Path of a program that scripts/build-cluster.sh builds; kubectl only where the machine has none. */
  program(name: string): string;
  /** The folder with cert-manager's CRDs. */
  readonly crds: string;
}

/** The programs of `level`, built when they are not there yet: minutes the first time. Progress goes to stderr. Throws what the build says. */
export async function clusterBinaries(...levels: readonly (ClusterLevel | 'helm')[]): Promise<ClusterBinaries> {
  const child = spawn(SCRIPT, levels, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`build the test cluster: ${SCRIPT} ended with ${code}`);
  const folder = output.trim();
  return {
    program: (name) => (name === 'kubectl' ? findProgram(name) : undefined) ?? join(folder, 'bin', name),
    crds: join(folder, 'crds'),
  };
}

function isBuilt(level: ClusterLevel): boolean {
  const folder = execFileSync(SCRIPT, ['--where'], { encoding: 'utf8' }).trim();
  return existsSync(join(folder, 'bin', level === 'api' ? 'kube-controller-manager' : 'kubelet'));
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
