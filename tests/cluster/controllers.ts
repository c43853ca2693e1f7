import type { ClusterBinaries } from './binaries.ts';
import type { Credentials } from './credentials.ts';
import type { Kubectl } from './kubectl.ts';
import { type Program, startProgram } from './program.ts';

/**
 * What runs where there are no nodes: what makes and deletes objects because of other objects. Not among them is the collector of Pods without
 * a node: it would delete those that tests write.
 */
const WITHOUT_NODES = [
  'serviceaccount-controller',
  'clusterrole-aggregation-controller',
  'root-ca-certificate-publisher-controller',
  'namespace-controller',
  'garbage-collector-controller',
  'deployment-controller',
  'replicaset-controller',
  'job-controller',
  'endpointslice-controller',
];

/** Starts kube-controller-manager and waits for what a namespace needs before it can have Pods. */
export async function startControllers(options: {
  readonly directory: string;
  readonly binaries: ClusterBinaries;
  readonly credentials: Credentials;
  /** Path of the kubeconfig of `system:kube-controller-manager`. */
  readonly kubeconfig: string;
  readonly kubectl: Kubectl;
  readonly nodes: boolean;
}): Promise<Program> {
  const { directory, binaries, credentials, kubeconfig, kubectl, nodes } = options;
  const program = await startProgram({
    directory,
    name: 'kube-controller-manager',
    command: binaries.program('kube-controller-manager'),
    args: [
      ...[`--kubeconfig=${kubeconfig}`, `--root-ca-file=${credentials.caFile}`, '--leader-elect=false'],
      `--service-account-private-key-file=${credentials.serviceAccountKeyFile}`,
      ...['--use-service-account-credentials=true', '--secure-port=0', '--kube-api-qps=500', '--kube-api-burst=500'],
      `--controllers=${nodes ? '*' : WITHOUT_NODES.join(',')}`,
    ],
  });
  await program.ready(async () => (await kubectl(['get', 'serviceaccount', 'default', '-o', 'name'])) !== '');
  return program;
}
