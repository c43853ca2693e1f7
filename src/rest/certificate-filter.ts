import type { CertificateView } from '../identity/certificate-view.ts';
import { marginOf, parseThreshold, type Threshold } from '../lib/expiry-threshold.ts';
import { STATES } from './certificate-states.ts';
import { Problem } from './problem.ts';
import type { QueryParameter } from './route.ts';

/** Which certificates of a mesh are listed; empty: all. */
export interface CertificateFilter {
  readonly states: ReadonlySet<string>;
  readonly service: string | undefined;
  readonly backend: string | undefined;
  /** With no more left than this; those that ended too, and none that nobody knows the end of. */
  readonly expiresIn?: Threshold | undefined;
}

export const CERTIFICATE_FILTERS: readonly QueryParameter[] = [
  {
    name: 'state',
    description: 'Only certificates in this state; repeat, or separate with commas, for more.',
    schema: { type: 'array', items: { type: 'string', enum: STATES } },
  },
  { name: 'service', description: 'Only proxies of this service.', schema: { type: 'string' } },
  { name: 'backend', description: 'Only certificates of this CA backend.', schema: { type: 'string' } },
  {
    name: 'expiresIn',
    description: 'Only certificates with no more left than this share of their life (`20%`) or this time (`2h`).',
    schema: { type: 'string' },
  },
];

/** Throws a 400 for an unknown state, and for a threshold that is none. */
export function parseCertificateFilter(query: URLSearchParams, title: string): CertificateFilter {
  const states = query.getAll('state').flatMap((text) => text.split(',').filter((one) => one !== ''));
  const unknown = states.find((state) => !STATES.some((known) => known === state));
  if (unknown !== undefined) throw invalid(title, 'state', `"${unknown}" is no state; use ${STATES.join(', ')}`);
  const text = query.get('expiresIn') || undefined;
  const expiresIn = text === undefined ? undefined : parseThreshold(text);
  if (text !== undefined && expiresIn === undefined) {
    throw invalid(title, 'expiresIn', `"${text}" is neither a share (20%) nor a duration (2h)`);
  }
  return {
    expiresIn,
    states: new Set(states),
    service: query.get('service') || undefined,
    backend: query.get('backend') || undefined,
  };
}

function invalid(title: string, field: string, message: string): Problem {
  return new Problem(400, title, 'Resource is not valid', { violations: [{ field, message }] });
}

export function isFiltering({ states, service, backend, expiresIn }: CertificateFilter): boolean {
  return states.size > 0 || service !== undefined || backend !== undefined || expiresIn !== undefined;
}

/** `now` in epoch ms. */
export function matchesCertificate(filter: CertificateFilter, view: CertificateView, now: number): boolean {
  const { states, service, backend, expiresIn } = filter;
  if (expiresIn !== undefined && !isNear(view, expiresIn, now)) return false;
  if (states.size > 0 && !states.has(view.state)) return false;
  if (service !== undefined && !view.services.includes(service)) return false;
  return backend === undefined || view.backend === backend;
}

function isNear({ state, issuedAt, notAfter }: CertificateView, threshold: Threshold, now: number): boolean {
  if (state === 'none' || notAfter === undefined) return false;
  return notAfter - now <= marginOf({ notBefore: issuedAt ?? notAfter, notAfter }, threshold);
}
