import type { X509Certificate } from 'node:crypto';
import { MUTATING_CONFIGURATION, VALIDATING_CONFIGURATION } from '../../install/webhook-configurations.ts';
import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import { SECRET } from '../../k8s/api/core-kinds.ts';
import type { ResourceType } from '../../k8s/api/object.ts';
import type { Threshold } from '../../lib/expiry-threshold.ts';
import { readNode } from '../../x509/certificate.ts';
import { issued, parseCertificates } from '../../x509/chain.ts';
import { ask } from './ask.ts';
import { CONTROL_PLANE } from './control-plane.ts';
import { type Fact, factValue, known } from './fact.ts';
import {
  MESHES,
  type MeshObject,
  MUTATING_WEBHOOKS,
  type SecretObject,
  VALIDATING_WEBHOOKS,
  type WebhookConfiguration,
} from './kube-objects.ts';
import type { ServedCertificate, WebhookAnswer, WebhookFacts } from './webhooks.ts';

/** Where the control plane keeps its webhook certificate. */
const WEBHOOK_SECRET = 'weft-webhook-tls';

export interface WebhookQuestions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly threshold: Threshold;
  readonly now: number;
  readonly signal: AbortSignal;
}

/** Configurations, certificate and one dry run. */
export async function gatherWebhooks(questions: WebhookQuestions): Promise<WebhookFacts> {
  const { client, namespace, threshold, now, signal } = questions;
  const configuration = (type: ResourceType, name: string) =>
    ask(client.get<WebhookConfiguration>(type, { name }, { signal })).then((found) => ({ name, found }));
  const [mutating, validating, secret, answer] = await Promise.all([
    configuration(MUTATING_WEBHOOKS, MUTATING_CONFIGURATION),
    configuration(VALIDATING_WEBHOOKS, VALIDATING_CONFIGURATION),
    ask(client.get<SecretObject>(SECRET, { namespace, name: WEBHOOK_SECRET }, { signal })),
    tryWebhook(client, signal),
  ]);
  const read = [mutating, validating].map(({ name, found }) => ({ name, found, bundles: bundlesOf(found) }));
  const anchors = read.flatMap(({ bundles }) => [...bundles.values()]);
  return {
    namespace,
    configurations: read.map(({ name, found, bundles }) => ({
      name,
      found,
      bundles: new Map([...bundles].map(([hook, nodes]) => [hook, nodes?.map(lifeOf)])),
    })),
    served: servedCertificate(secret, anchors, namespace),
    answer,
    threshold,
    now,
  };
}

const lifeOf = (node: X509Certificate) => ({
  notBefore: node.validFromDate.getTime(),
  notAfter: node.validToDate.getTime(),
});

/** CA certificates by webhook. */
function bundlesOf(found: Fact<WebhookConfiguration>): Map<string, readonly X509Certificate[] | undefined> {
  return new Map(
    (factValue(found)?.webhooks ?? []).map(({ name, clientConfig }) => [name, nodesOf(clientConfig.caBundle)]),
  );
}

/** Certificates of base64 PEM; `undefined` when there is none that can be read. */
function nodesOf(base64: string | undefined): readonly X509Certificate[] | undefined {
  if (base64 === undefined) return undefined;
  try {
    return parseCertificates(Buffer.from(base64, 'base64')).map(readNode);
  } catch {
    // Reported as a bundle that is not usable.
    return undefined;
  }
}

function servedCertificate(
  secret: Fact<SecretObject>,
  anchors: readonly (readonly X509Certificate[] | undefined)[],
  namespace: string,
): Fact<ServedCertificate> {
  if (secret.state === 'absent') {
    return {
      state: 'failed',
      reason: `there is no Secret ${WEBHOOK_SECRET}; the control plane may be given it as files`,
    };
  }
  if (secret.state !== 'known') return secret;
  const leaf = nodesOf(secret.value.data?.['tls.crt'])?.[0];
  if (leaf === undefined) return { state: 'failed', reason: `Secret ${WEBHOOK_SECRET} has no certificate` };
  return known({
    ...lifeOf(leaf),
    trusted: anchors.every((bundle) => bundle?.some((anchor) => issued(anchor, leaf)) ?? false),
    goodForService: leaf.checkHost(`${CONTROL_PLANE}.${namespace}.svc`) !== undefined,
  });
}

/** A Mesh whose enabled backend is not listed: the definition takes it, the validating webhook must not. Nothing is stored. */
async function tryWebhook(client: KubeClient, signal: AbortSignal): Promise<Fact<WebhookAnswer>> {
  const mesh: MeshObject = {
    apiVersion: 'kuma.io/v1alpha1',
    kind: 'Mesh',
    metadata: { name: 'weft-check-dry-run' },
    spec: { mtls: { enabledBackend: 'not-listed', backends: [] } },
  };
  try {
    await client.create(MESHES, mesh, { dryRun: true, signal });
    return known({ kind: 'accepted', message: '' });
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.code === 'invalid') return known({ kind: 'refused', message: error.message });
    const at = error.message.indexOf('failed calling webhook');
    if (at >= 0) return known({ kind: 'unreachable', message: error.message.slice(at) });
    return { state: error.code === 'forbidden' ? 'forbidden' : 'failed', reason: error.message };
  }
}
