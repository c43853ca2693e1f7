/** Every way a CertificateRequest goes wrong, as one sentence with its remedy, and where it helps the text to paste. Pure. */
import type { KubeError } from '../../k8s/api/client.ts';
import { CaError, type CaErrorCode } from '../backend.ts';
import { CERT_MANAGER_GROUP, type IssuerRef } from './conf.ts';
import { approvalPolicy, approverRole, controlPlaneRole } from './remedies.ts';
import type { Verdict } from './verdict.ts';

/** What a sentence may name. */
export interface Subject {
  readonly mesh: string;
  readonly backend: string;
  readonly issuerRef: IssuerRef;
  readonly systemNamespace: string;
}

/** `Issuer "a" in namespace b`, `ClusterIssuer "a"`, `AWSPCAIssuer.awspca.cert-manager.io "a"`. */
export function nameIssuer({ issuerRef: { kind, name, group }, systemNamespace }: Subject): string {
  if (group !== CERT_MANAGER_GROUP) return `${kind}.${group} "${name}"`;
  return kind === 'ClusterIssuer' ? `ClusterIssuer "${name}"` : `Issuer "${name}" in namespace ${systemNamespace}`;
}

function problem(
  code: CaErrorCode,
  reason: string,
  subject: Subject,
  sentence: string,
  options: { fix?: string; cause?: unknown } = {},
): CaError {
  return new CaError(code, `backend "${subject.backend}" of mesh ${subject.mesh}: ${sentence}`, { reason, ...options });
}

/** What a request came to that brought no certificate. */
export function verdictProblem(
  subject: Subject,
  verdict: Exclude<Verdict, { kind: 'issued' }>,
  waitedMs: number,
): CaError {
  const issuer = nameIssuer(subject);
  const seconds = Math.round(waitedMs / 1000);
  switch (verdict.kind) {
    case 'denied':
      return problem(
        'denied',
        'RequestDenied',
        subject,
        `the CertificateRequest for ${issuer} was denied${because(verdict)}; change the policy that denies it; one proxy asks again every few minutes, and all go on when it gets a certificate`,
        { fix: approvalPolicy(subject) },
      );
    case 'invalid':
      return problem(
        'invalid-request',
        'RequestInvalid',
        subject,
        `${issuer} calls the CertificateRequest invalid${because(verdict)}; correct the conf of the backend or the issuer`,
      );
    case 'failed':
      return problem(
        'failed',
        'RequestFailed',
        subject,
        `${issuer} failed to sign${because(verdict)}; see: kubectl describe ${describeIssuer(subject)}`,
      );
    case 'garbage':
      return problem(
        'invalid-answer',
        'InvalidAnswer',
        subject,
        `${issuer} answered with ${verdict.message}; its controller does not work as it should`,
      );
    case 'unapproved':
      return notApproved(subject, waitedMs);
    case 'pending':
      return problem(
        'timeout',
        verdict.reason === '' || verdict.reason === 'Pending' ? 'RequestPending' : verdict.reason,
        subject,
        `${issuer} has not signed for ${seconds} s${because(verdict)}; see: kubectl describe ${describeIssuer(subject)}`,
      );
    default:
      return verdict satisfies never;
  }
}

function notApproved(subject: Subject, waitedMs: number): CaError {
  const external = subject.issuerRef.group !== CERT_MANAGER_GROUP;
  const remedy = external
    ? 'let cert-manager approve requests for this signer, with the ClusterRole below'
    : "cert-manager's own approver is off or does not run; turn it on, or allow these requests with the CertificateRequestPolicy below";
  return problem(
    'not-approved',
    'NotApproved',
    subject,
    `the CertificateRequest for ${nameIssuer(subject)} was not approved within ${Math.round(waitedMs / 1000)} s; ${remedy}`,
    { fix: external ? approverRole(subject) : approvalPolicy(subject) },
  );
}

export function deleted(subject: Subject): CaError {
  return problem(
    'deleted',
    'RequestDeleted',
    subject,
    `somebody deleted the CertificateRequest for ${nameIssuer(subject)} before it was signed; it is asked again`,
  );
}

export function noCa(subject: Subject): CaError {
  return problem(
    'not-configured',
    'NoCaCertificate',
    subject,
    `${nameIssuer(subject)} does not set status.ca on its CertificateRequests, so nobody knows what to trust; put its CA certificate in conf.caCert`,
  );
}

/** A call to the API server that failed. `doing` such as `create CertificateRequests`. */
export function callProblem(subject: Subject, error: KubeError, doing: string, verb: string): CaError {
  const { message } = error;
  const cause = { cause: error };
  const inWebhook = /webhook/i.test(message);
  if (inWebhook && /denied the request/.test(message)) {
    return problem(
      'invalid-request',
      'RequestRefused',
      subject,
      `a webhook refused the CertificateRequest (${cut(message)}); change what it enforces, or the conf of the backend`,
      cause,
    );
  }
  switch (error.code) {
    case 'not-found':
      return problem(
        'not-configured',
        'CertManagerMissing',
        subject,
        `cert-manager is not installed in this cluster (there is no CertificateRequest in it); install it, see https://cert-manager.io/docs/installation`,
        cause,
      );
    case 'forbidden':
    case 'unauthorized':
      return problem(
        'forbidden',
        'Forbidden',
        subject,
        `the control plane may not ${doing} in namespace ${subject.systemNamespace}; give it the Role below`,
        { ...cause, fix: controlPlaneRole(subject, verb) },
      );
    case 'invalid':
      return problem(
        'invalid-request',
        'RequestRefused',
        subject,
        `the API server refused the CertificateRequest (${cut(message)}); correct the conf of the backend`,
        cause,
      );
    case 'throttled':
      return problem(
        'throttled',
        'Throttled',
        subject,
        'the API server asks for fewer calls; it is asked again',
        cause,
      );
    default:
      return inWebhook
        ? problem(
            'unavailable',
            'WebhookFailing',
            subject,
            `the API server does not reach a webhook (${cut(message)}); make it run: kubectl get pods -A -l app.kubernetes.io/name=webhook`,
            cause,
          )
        : problem(
            'unavailable',
            'ApiServerUnavailable',
            subject,
            `the API server does not answer (${cut(message)}); it is asked again`,
            cause,
          );
  }
}

/** Issuers cannot be looked at, which only costs words: requests are made without. */
export function issuersForbidden(kind: string, error: KubeError): string {
  return `may not watch ${kind} objects (${error.code}): what is wrong with one shows only when it is asked to sign`;
}

export function issuerProblem(
  subject: Subject,
  reason: 'IssuerNotFound' | 'IssuerNotReady' | 'UnsupportedIssuer',
  sentence: string,
): CaError {
  return problem('not-configured', reason, subject, sentence);
}

function because({ message }: { readonly message: string }): string {
  return message === '' ? '' : ` (${cut(message)})`;
}

function cut(message: string): string {
  const line = message.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}

function describeIssuer({ issuerRef: { kind, name, group }, systemNamespace }: Subject): string {
  const resource = group === CERT_MANAGER_GROUP ? kind.toLowerCase() : `${kind.toLowerCase()}.${group}`;
  return kind === 'ClusterIssuer' ? `${resource} ${name}` : `${resource} ${name} -n ${systemNamespace}`;
}
