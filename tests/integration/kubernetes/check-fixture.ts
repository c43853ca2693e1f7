import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { CheckReport } from '../../../src/cli/check/report.ts';
import { execute } from '../../../src/cli/main.ts';
import { VERSION } from '../../../src/control-plane/version.ts';
import { controlPlaneManifests } from '../../../src/install/manifests.ts';
import { webhookConfigurations } from '../../../src/install/webhook-configurations.ts';
import { crds } from '../../../src/k8s/api/crds.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import { policyKinds } from '../../../src/policies/index.ts';
import { coreKinds } from '../../../src/resources/kinds/index.ts';
import { createTestCa, createTestLeaf, type TestCertificate } from '../../../src/testing/certificates.ts';
import type { Cluster } from '../../cluster/cluster.ts';

export const NAMESPACE = 'kong-mesh-system';
const KINDS = [...coreKinds, ...policyKinds];

export interface CheckRun {
  readonly code: number;
  readonly stderr: string;
  readonly report: CheckReport;
  /** `id` to outcome; the worst one when a check looked at several things. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** CPU time of this process: unlike the time on the clock, the same on a busy machine. */
  readonly cpuMs: number;
}

/** `weft check -o json` in this process. */
export async function runCheck(kubeconfig: string, ...argv: readonly string[]): Promise<CheckRun> {
  let stdout = '';
  let stderr = '';
  const before = process.cpuUsage();
  const code = await execute(['check', '-o', 'json', '--kubeconfig', kubeconfig, ...argv], {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    readStdin: async () => '',
    env: {},
    home: '/nonexistent',
    now: Date.now,
    interactive: false,
    terminal: false,
    signal: new AbortController().signal,
  });
  const used = process.cpuUsage(before);
  const report = JSON.parse(stdout) as CheckReport;
  const outcomes: Record<string, string> = {};
  const order = ['skip', 'ok', 'warn', 'fail'];
  for (const { id, outcome } of report.checks) {
    if (order.indexOf(outcome) > order.indexOf(outcomes[id] ?? 'skip') || outcomes[id] === undefined)
      outcomes[id] = outcome;
  }
  return { code, stderr, report, outcomes, cpuMs: (used.user + used.system) / 1000 };
}

/** The manifests of `weft install control-plane` without webhooks. */
export function installed(): readonly KubeObject[] {
  const values = [{ namespace: { create: true } }];
  return controlPlaneManifests({ namespace: NAMESPACE, version: VERSION, values, crds: crds(KINDS) }).filter(
    ({ kind }) => kind?.endsWith('WebhookConfiguration') !== true,
  );
}

/** An admission server with certificates like ours: it refuses a Mesh whose enabled backend is not listed, and lets everything else pass. */
export interface FakeWebhooks {
  readonly ca: TestCertificate;
  readonly server: Server;
  /** The configurations that point to it, trusting `ca`, or another one. */
  configurations(ca?: TestCertificate): readonly KubeObject[];
  /** The Secret in which the control plane keeps its certificate. */
  secret(leaf?: TestCertificate): KubeObject;
}

export async function startFakeWebhooks(): Promise<FakeWebhooks> {
  const ca = await createTestCa({ uriSans: [] });
  const leaf = await createServingLeaf(ca);
  const server = createServer({ cert: leaf.pem, key: leaf.keyPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      const { request: review } = JSON.parse(Buffer.concat(chunks).toString()) as AdmissionReview;
      const { enabledBackend = '', backends = [] } = review.object?.spec?.mtls ?? {};
      const allowed = enabledBackend === '' || backends.some(({ name }) => name === enabledBackend);
      const status = allowed ? {} : { status: { code: 422, reason: 'Invalid', message: 'not in the list' } };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid: review.uid, allowed, ...status },
        }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ca,
    server,
    configurations: (trusted = ca) =>
      webhookConfigurations({ namespace: NAMESPACE, target: { url }, kinds: KINDS, caBundle: trusted.pem }),
    secret: (shown = leaf) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'weft-webhook-tls', namespace: NAMESPACE },
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': base64(shown.pem), 'tls.key': base64(shown.keyPem) },
    }),
  };
}

interface AdmissionReview {
  readonly request: {
    readonly uid: string;
    readonly object?: {
      readonly spec?: {
        readonly mtls?: { readonly enabledBackend?: string; readonly backends?: readonly { readonly name: string }[] };
      };
    };
  };
}

/** What is served on the webhook port; `to` ms from now on it has ended. */
export function createServingLeaf(ca: TestCertificate, to?: number): Promise<TestCertificate> {
  return createTestLeaf(ca, {
    uriSans: [],
    dnsSans: [`weft-control-plane.${NAMESPACE}.svc`],
    ipSans: ['127.0.0.1'],
    ...(to === undefined ? {} : { from: to - 60_000, to }),
  });
}

/** A Mesh with one `certmanager` backend. */
export function mesh(issuerRef: object, caCert?: string): KubeObject {
  const conf = { issuerRef, ...(caCert === undefined ? {} : { caCert: { inlineString: caCert } }) };
  return {
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Mesh',
    metadata: { name: 'default' },
    ...{
      spec: {
        mtls: { enabledBackend: 'certmanager-1', backends: [{ name: 'certmanager-1', type: 'certmanager', conf }] },
      },
    },
  };
}

/** Writes into the status of the Mesh what a control plane would: its backend issues, its CA ends in `leftMs` of a year. */
export async function reportBackend(cluster: Cluster, leftMs: number): Promise<void> {
  const at = (ms: number) => new Date(Date.now() + ms).toISOString();
  const root = { subject: 'CN=ca', notBefore: at(leftMs - 31_536_000_000), notAfter: at(leftMs), current: true };
  const status = { mtls: { backends: [{ name: 'certmanager-1', enabled: true, state: 'Ready', roots: [root] }] } };
  await cluster.kubectl(
    'patch',
    'mesh',
    'default',
    '--subresource=status',
    '--type=merge',
    '-p',
    JSON.stringify({ status }),
  );
}

/** A Dataplane and its insight: connected, in sync, a leaf with `leftMs` of its hour left. */
export function proxy(name: string, leftMs = 3_000_000, rejections: readonly object[] = []): readonly KubeObject[] {
  const metadata = { name, namespace: 'shop' };
  const at = (ms: number) => new Date(Date.now() + ms).toISOString();
  const common = { apiVersion: 'kuma.io/v1alpha1', mesh: 'default', metadata };
  return [
    {
      ...common,
      kind: 'Dataplane',
      ...{
        spec: { networking: { address: '10.0.0.1', inbound: [{ port: 8080, tags: { 'kuma.io/service': 'web' } }] } },
      },
    },
    {
      ...common,
      kind: 'DataplaneInsight',
      ...{
        status: {
          subscriptions: [{ id: '1', connectTime: at(-60_000) }],
          mTLS: { certificateExpirationTime: at(leftMs), issuedBackend: 'certmanager-1' },
          weft: { inSync: true, certificate: { notBefore: at(leftMs - 3_600_000) }, rejections },
        },
      },
    },
  ];
}

/** `kubectl apply` of objects, server-side. */
export async function apply(cluster: Cluster, ...objects: readonly KubeObject[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await cluster.applyYaml(JSON.stringify(list), '--server-side', '--force-conflicts');
}

export const base64 = (text: string) => Buffer.from(text).toString('base64');
