import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts } from '../../src/demo/ports.ts';
import type { ClusterBinaries } from './binaries.ts';
import type { Credentials } from './credentials.ts';
import { kubeconfigText } from './kubeconfig.ts';
import type { Kubectl } from './kubectl.ts';
import { listens, type Program, startProgram } from './program.ts';

/** How cert-manager's controllers run; what is absent is as in its own release. */
export interface CertManagerOptions {
  /**
   * Requests a second and burst of the controllers: 20 and 50. They count only where the API server has no priority and fairness, so
   * `startCluster` switches that off when one of them is given.
   */
  readonly qps?: number;
  readonly burst?: number;
  /** Workers of each controller: 5. */
  readonly workers?: number;
  /** False: requests of cert-manager's own issuers are not approved by cert-manager, as with its chart's `disableAutoApproval`. */
  readonly approver?: boolean;
}

/** cert-manager in a cluster: its CRDs, its rights, its controllers and perhaps its admission webhook. */
export interface CertManager {
  /** Starts the controllers again, perhaps otherwise than before. */
  start(options?: CertManagerOptions): Promise<void>;
  /** Ends the controllers; the webhook stays. */
  stop(): Promise<void>;
}

const NAMESPACE = 'cert-manager';
const CONTROLLER = 'cert-manager';
const WEBHOOK = 'cert-manager-webhook';
const READ = ['get', 'list', 'watch'];

/** What the chart of cert-manager v1.21 grants, without ACME and the CSR API; approval is a role of its own there too. */
const RIGHTS = [
  clusterRole('cert-manager-controller', [
    { apiGroups: ['cert-manager.io'], resources: ['*'], verbs: [...READ, 'update', 'patch'] },
    { apiGroups: ['cert-manager.io'], resources: ['certificates', 'certificaterequests'], verbs: ['create', 'delete'] },
    { apiGroups: ['acme.cert-manager.io'], resources: ['orders', 'challenges'], verbs: READ },
    { apiGroups: [''], resources: ['secrets'], verbs: [...READ, 'create', 'update', 'patch', 'delete'] },
    { apiGroups: [''], resources: ['serviceaccounts/token', 'events'], verbs: ['create', 'patch'] },
  ]),
  binding('cert-manager-controller', CONTROLLER),
  clusterRole('cert-manager-controller-approve:cert-manager-io', [
    { apiGroups: ['cert-manager.io'], resources: ['signers'], verbs: ['approve'] },
  ]),
  binding('cert-manager-controller-approve:cert-manager-io', CONTROLLER),
  clusterRole('cert-manager-webhook:subjectaccessreviews', [
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  ]),
  binding('cert-manager-webhook:subjectaccessreviews', WEBHOOK),
];

/** Installs cert-manager and starts it; with `webhook`, its admission runs too, which alone checks who may approve. */
export async function startCertManager(options: {
  readonly directory: string;
  readonly binaries: ClusterBinaries;
  readonly credentials: Credentials;
  readonly server: string;
  readonly kubectl: Kubectl;
  readonly controller: CertManagerOptions;
  /** Whether the API server has priority and fairness. */
  readonly priorityAndFairness: boolean;
  readonly webhook: boolean;
}): Promise<CertManager> {
  const { directory, binaries, credentials, server, kubectl } = options;
  const accounts = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    ...[CONTROLLER, WEBHOOK].map((name) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: NAMESPACE },
    })),
  ];
  await kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(list([...accounts, ...RIGHTS])));
  await kubectl(['apply', '--server-side', '-f', binaries.crds]);
  await kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', binaries.crds]);

  /** A kubeconfig of one of its ServiceAccounts, by certificate: a token would run out. */
  async function kubeconfig(account: string): Promise<string> {
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${NAMESPACE}`];
    const user = await credentials.clientCertificate(`system:serviceaccount:${NAMESPACE}:${account}`, groups);
    const file = join(directory, `${account}.kubeconfig`);
    writeFileSync(file, kubeconfigText({ server, ca: credentials.ca, user }), { mode: 0o600 });
    return file;
  }

  const controllerKubeconfig = await kubeconfig(CONTROLLER);
  let program: Program | undefined;

  async function start(how: CertManagerOptions = {}): Promise<void> {
    if (program !== undefined) return;
    const { qps = 20, burst = 50, workers = 5, approver = true } = how;
    if (options.priorityAndFairness && (how.qps ?? how.burst) !== undefined)
      throw new Error('start cert-manager: qps and burst have no effect here, startCluster must be given one of them');
    program = await startProgram({
      directory,
      name: CONTROLLER,
      command: binaries.program('cert-manager'),
      args: [
        ...['controller', `--kubeconfig=${controllerKubeconfig}`, `--cluster-resource-namespace=${NAMESPACE}`],
        ...[`--kube-api-qps=${qps}`, `--kube-api-burst=${burst}`, `--concurrent-workers=${workers}`],
        `--approver=${approver}`,
      ],
    });
  }

  await start(options.controller);
  if (options.webhook) {
    const [port] = await findFreePorts(1);
    const { certFile, keyFile } = await credentials.servingCertificate(WEBHOOK, ['127.0.0.1']);
    const program = await startProgram({
      directory,
      name: WEBHOOK,
      command: binaries.program('cert-manager'),
      args: [
        ...['webhook', `--kubeconfig=${await kubeconfig(WEBHOOK)}`, `--secure-port=${port}`],
        ...[`--tls-cert-file=${certFile}`, `--tls-private-key-file=${keyFile}`],
      ],
    });
    const url = `https://127.0.0.1:${port}`;
    await program.ready(() => listens(port!));
    await kubectl(['apply', '-f', '-'], JSON.stringify(list(webhookConfigurations(url, credentials.ca))));
  }
  return {
    start,
    async stop() {
      const stopping = program;
      program = undefined;
      await stopping?.stop();
    },
  };
}

/** As in the chart of cert-manager v1.21. */
function webhookConfigurations(url: string, ca: string): readonly object[] {
  const webhook = (path: string, rule: object) => [
    {
      name: 'webhook.cert-manager.io',
      rules: [{ ...rule, apiVersions: ['v1'] }],
      admissionReviewVersions: ['v1'],
      matchPolicy: 'Equivalent',
      failurePolicy: 'Fail',
      sideEffects: 'None',
      timeoutSeconds: 30,
      clientConfig: { url: `${url}${path}`, caBundle: Buffer.from(ca).toString('base64') },
    },
  ];
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const groups = ['cert-manager.io', 'acme.cert-manager.io'];
  return [
    {
      apiVersion,
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: WEBHOOK },
      webhooks: webhook('/validate', { apiGroups: groups, resources: ['*/*'], operations: ['CREATE', 'UPDATE'] }),
    },
    {
      apiVersion,
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: WEBHOOK },
      webhooks: webhook('/mutate', {
        apiGroups: ['cert-manager.io'],
        resources: ['certificaterequests'],
        operations: ['CREATE'],
      }),
    },
  ];
}

function clusterRole(name: string, rules: readonly object[]): object {
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules };
}

function binding(role: string, account: string): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: role },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: NAMESPACE }],
  };
}

function list(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items };
}
