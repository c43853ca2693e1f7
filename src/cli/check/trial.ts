import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import type { Condition, KubeObject } from '../../k8s/api/object.ts';
import { waitFor } from '../../lib/wait.ts';
import { createCsr } from '../../x509/csr.ts';
import { generateEcKey } from '../../x509/key.ts';
import { toPem } from '../../x509/pem.ts';
import type { IssuerRef, TrialResult } from './issuers.ts';
import { CERTIFICATE_REQUESTS } from './kube-objects.ts';

export interface IssuerTrial {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly ref: IssuerRef;
  readonly mesh: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

interface CertificateRequest extends KubeObject {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: { readonly conditions?: readonly Condition[]; readonly certificate?: string };
}

const LOOK_EVERY_MS = 200;
/** Long enough for every issuer, short enough that nobody can use it. */
const DURATION = '1h';

/**
 * Asks an issuer for one certificate as a proxy of the mesh would, and deletes the request again, however it ends. The key is thrown away.
 * Throws `KubeError`.
 */
export async function tryIssuer(trial: IssuerTrial): Promise<TrialResult> {
  const { client, namespace, ref, timeoutMs, signal } = trial;
  const startedAt = performance.now();
  const made = await client.create<CertificateRequest>(CERTIFICATE_REQUESTS, await requestOf(trial), { signal });
  const at = { namespace, name: made.metadata.name };
  try {
    let seen = made;
    while (!signal.aborted) {
      const outcome = outcomeOf(seen, performance.now() - startedAt);
      if (outcome !== undefined) return outcome;
      if (performance.now() - startedAt >= timeoutMs) return lateness(seen, ref, timeoutMs);
      await waitFor(LOOK_EVERY_MS, signal);
      seen = await client.get<CertificateRequest>(CERTIFICATE_REQUESTS, at, { signal });
    }
    throw new KubeError('aborted', 'asking for a certificate was interrupted');
  } finally {
    // Also after Ctrl-C: without the signal.
    await client.delete(CERTIFICATE_REQUESTS, at).catch((error: unknown) => {
      if (!(error instanceof KubeError)) throw error;
    });
  }
}

async function requestOf({ namespace, ref, mesh }: IssuerTrial): Promise<CertificateRequest> {
  const csr = await createCsr(generateEcKey(), [`spiffe://${mesh}/weft-check`]);
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {
      name: '',
      generateName: 'weft-check-',
      namespace,
      labels: { 'app.kubernetes.io/managed-by': 'weft-check' },
    },
    spec: {
      request: Buffer.from(toPem('CERTIFICATE REQUEST', csr)).toString('base64'),
      duration: DURATION,
      issuerRef: ref,
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
    },
  };
}

const condition = ({ status }: CertificateRequest, type: string) =>
  status?.conditions?.find((one) => one.type === type && one.status === 'True');

/** How it ended; `undefined` while it has not. Source: ca-backends reference, section 4. */
export function outcomeOf(request: CertificateRequest, tookMs: number): TrialResult | undefined {
  const denied = condition(request, 'Denied');
  if (denied !== undefined) return { kind: 'denied', message: `the request was denied: ${denied.message ?? ''}` };
  const invalid = condition(request, 'InvalidRequest');
  if (invalid !== undefined) return { kind: 'failed', message: `the request is not valid: ${invalid.message ?? ''}` };
  const ready = request.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'False' && ready.reason === 'Failed') {
    return { kind: 'failed', message: `the request failed: ${ready.message ?? ''}` };
  }
  if (request.status?.certificate === undefined || request.status.certificate === '') return undefined;
  return { kind: 'issued', message: `issued a certificate in ${Math.round(tookMs)} ms` };
}

function lateness(request: CertificateRequest, ref: IssuerRef, timeoutMs: number): TrialResult {
  const waited = `within ${Math.round(timeoutMs / 1000)} s`;
  if (condition(request, 'Approved') === undefined) {
    return { kind: 'not-approved', message: `nobody approved the request ${waited}` };
  }
  const ready = request.status?.conditions?.find(({ type }) => type === 'Ready');
  return {
    kind: 'late',
    message: `${ref.kind} ${ref.name} did not answer ${waited}${ready?.message ? `: ${ready.message}` : ''}`,
  };
}
