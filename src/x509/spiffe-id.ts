import { X509Error } from './error.ts';

/** Longest SPIFFE id in bytes; source: SPIFFE-ID standard, section 2.3. */
const MAX_SPIFFE_ID_BYTES = 2048;

/** A SPIFFE id in its two parts. `path` is '' or starts with a slash. */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly path: string;
}

const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Why `name` is no trust domain; `undefined` when it is one. Source: SPIFFE-ID standard, section 2.1. */
function trustDomainProblem(name: string): string | undefined {
  if (name === '') return 'trust domain is missing';
  if (!TRUST_DOMAIN.test(name)) {
    return 'trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores';
  }
  return undefined;
}

/** Why `segment` cannot be one path segment; `undefined` when it can. Source: SPIFFE-ID standard, section 2.2. */
function pathSegmentProblem(segment: string): string | undefined {
  if (segment === '') return 'path cannot contain empty segments';
  if (segment === '.' || segment === '..') return 'path cannot contain dot segments';
  if (!SEGMENT.test(segment)) {
    return 'path segment characters are limited to letters, numbers, dots, dashes, and underscores';
  }
  return undefined;
}

/** `spiffe://<trustDomain>/<segment>...`. Nothing is escaped or normalised: what is not allowed throws `invalid-spiffe-id`. */
export function formatSpiffeId(trustDomain: string, ...segments: readonly string[]): string {
  const id = `${SCHEME}${[trustDomain, ...segments].join('/')}`;
  const problem = trustDomainProblem(trustDomain) ?? firstProblem(segments) ?? lengthProblem(id);
  if (problem)
    throw new X509Error('invalid-spiffe-id', `make SPIFFE id ${JSON.stringify(id.slice(0, 200))}: ${problem}`);
  return id;
}

/** Reads an id strictly, as go-spiffe 2.6 does, plus the standard's length limit. Throws `invalid-spiffe-id`. */
export function parseSpiffeId(text: string): SpiffeId {
  const problem = spiffeIdProblem(text);
  if (problem)
    throw new X509Error('invalid-spiffe-id', `read SPIFFE id ${JSON.stringify(text.slice(0, 200))}: ${problem}`);
  const { trustDomain, path } = split(text);
  return { trustDomain, path };
}

/** Why `text` is no SPIFFE id; `undefined` when it is one. */
export function spiffeIdProblem(text: string): string | undefined {
  if (text === '') return 'cannot be empty';
  if (!text.startsWith(SCHEME)) return 'scheme is missing or invalid';
  const { trustDomain, path } = split(text);
  const domainProblem = trustDomainProblem(trustDomain);
  if (domainProblem || path === '') return domainProblem ?? lengthProblem(text);
  if (path.endsWith('/')) return 'path cannot have a trailing slash';
  return firstProblem(path.slice(1).split('/')) ?? lengthProblem(text);
}

function split(text: string): SpiffeId {
  const slash = text.indexOf('/', SCHEME.length);
  return slash === -1
    ? { trustDomain: text.slice(SCHEME.length), path: '' }
    : { trustDomain: text.slice(SCHEME.length, slash), path: text.slice(slash) };
}

function firstProblem(segments: readonly string[]): string | undefined {
  for (const segment of segments) {
    const problem = pathSegmentProblem(segment);
    if (problem) return problem;
  }
  return undefined;
}

/** Allowed characters are ASCII, so characters are bytes. */
function lengthProblem(id: string): string | undefined {
  return id.length > MAX_SPIFFE_ID_BYTES ? `longer than ${MAX_SPIFFE_ID_BYTES} bytes` : undefined;
}
