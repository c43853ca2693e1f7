import { nearest } from '../../lib/nearest.ts';
import type { CaError } from '../backend.ts';
import { conditionOf, type Issuer } from './objects.ts';
import { issuerProblem, nameIssuer, type Subject } from './problem.ts';

/** The Issuers of the system namespace, or the ClusterIssuers; `undefined`: they cannot be seen. */
export type KnownIssuers = ReadonlyMap<string, Issuer> | undefined;

/**
 * What is in the way of `subject.issuerRef`: not there, of a type that cannot sign mesh leaves, not Ready; `undefined`: nothing that can be seen.
 * `known` are the issuers of the asked kind, `others` those of the other one. Pure.
 */
export function assessIssuer(subject: Subject, known: KnownIssuers, others: KnownIssuers): CaError | undefined {
  if (known === undefined) return undefined;
  const { name, kind } = subject.issuerRef;
  const issuer = known.get(name);
  if (issuer === undefined) return issuerProblem(subject, 'IssuerNotFound', notFound(subject, known, others));
  const { selfSigned, acme } = issuer.spec ?? {};
  if (selfSigned !== undefined) {
    return issuerProblem(
      subject,
      'UnsupportedIssuer',
      `${nameIssuer(subject)} is of type SelfSigned, which signs each certificate with its own key, so proxies cannot trust each other; use a CA issuer (it may sign with a certificate that this issuer made)`,
    );
  }
  if (acme !== undefined) {
    return issuerProblem(
      subject,
      'UnsupportedIssuer',
      `${nameIssuer(subject)} is of type ACME, which signs no SPIFFE IDs; use an issuer of type CA, Vault or an external one`,
    );
  }
  const ready = conditionOf(issuer, 'Ready');
  if (ready?.status === 'True') return undefined;
  const why = ready?.message ? `: ${ready.message.slice(0, 300)}` : '';
  const resource = kind === 'ClusterIssuer' ? name : `${name} -n ${subject.systemNamespace}`;
  return issuerProblem(
    subject,
    'IssuerNotReady',
    `${nameIssuer(subject)} is not Ready${why}; see: kubectl describe ${kind.toLowerCase()} ${resource}`,
  );
}

function notFound(subject: Subject, known: ReadonlyMap<string, Issuer>, others: KnownIssuers): string {
  const { name, kind } = subject.issuerRef;
  const missing = `${nameIssuer(subject)} does not exist`;
  if (others?.has(name)) {
    const other = kind === 'Issuer' ? 'ClusterIssuer' : 'Issuer';
    return `${missing}, but there is ${other === 'Issuer' ? 'an' : 'a'} ${other} of that name; set issuerRef.kind to ${other}`;
  }
  const near = nearest(name, known.keys());
  if (near !== undefined) return `${missing}, did you mean "${near}"? Correct issuerRef.name, or create it`;
  const where =
    kind === 'Issuer' ? ' (an Issuer has to be in the system namespace; use a ClusterIssuer for one elsewhere)' : '';
  return `${missing}${where}; create it, or correct issuerRef.name`;
}
