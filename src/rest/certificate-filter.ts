import type { CertificateView } from '../identity/certificate-view.ts';
import { STATES } from './certificate-states.ts';
import { Problem } from './problem.ts';
import type { QueryParameter } from './route.ts';

/** Which certificates of a mesh are listed; empty: all. */
export interface CertificateFilter {
  readonly states: ReadonlySet<string>;
  readonly service: string | undefined;
  readonly backend: string | undefined;
}

export const CERTIFICATE_FILTERS: readonly QueryParameter[] = [
  {
    name: 'state',
    description: 'Only certificates in this state; repeat, or separate with commas, for more.',
    schema: { type: 'array', items: { type: 'string', enum: STATES } },
  },
  { name: 'service', description: 'Only proxies of this service.', schema: { type: 'string' } },
  { name: 'backend', description: 'Only certificates of this CA backend.', schema: { type: 'string' } },
];

/** Throws a 400 for an unknown state. */
export function parseCertificateFilter(query: URLSearchParams, title: string): CertificateFilter {
  const states = query.getAll('state').flatMap((text) => text.split(',').filter((one) => one !== ''));
  const unknown = states.find((state) => !STATES.some((known) => known === state));
  if (unknown !== undefined) {
    const message = `"${unknown}" is no state; use ${STATES.join(', ')}`;
    throw new Problem(400, title, 'Resource is not valid', { violations: [{ field: 'state', message }] });
  }
  return {
    states: new Set(states),
    service: query.get('service') || undefined,
    backend: query.get('backend') || undefined,
  };
}

export function isFiltering({ states, service, backend }: CertificateFilter): boolean {
  return states.size > 0 || service !== undefined || backend !== undefined;
}

export function matchesCertificate({ states, service, backend }: CertificateFilter, view: CertificateView): boolean {
  if (states.size > 0 && !states.has(view.state)) return false;
  if (service !== undefined && !view.services.includes(service)) return false;
  return backend === undefined || view.backend === backend;
}
