import type { JWTPayload } from 'jose';
import { AuthError } from './errors.ts';

/** `Type` claim; also what a proxy says it is. */
export type ProxyType = 'dataplane' | 'ingress' | 'egress';
export const PROXY_TYPES: readonly ProxyType[] = ['dataplane', 'ingress', 'egress'];

/** What a dataplane token is bound to; an absent part binds nothing. Claim names are capitalised on the wire (Kuma quirk 4). */
export interface DataplaneClaims {
  readonly name?: string;
  readonly mesh?: string;
  /** The proxy must have every tag here, with no value outside the list. */
  readonly tags?: ReadonlyMap<string, readonly string[]>;
  readonly type?: ProxyType;
  /** [2.14] Value the proxy's `kuma.io/workload` label must have. */
  readonly workload?: string;
}

export interface ZoneClaims {
  /** Absent: any zone. */
  readonly zone?: string;
  /** `ingress`, `egress`; Kong Mesh adds `cp`. */
  readonly scope: readonly string[];
}

export interface UserClaims {
  readonly name: string;
  readonly groups: readonly string[];
}

export function dataplanePayload(claims: DataplaneClaims): JWTPayload {
  return {
    Name: claims.name ?? '',
    Mesh: claims.mesh ?? '',
    Tags: Object.fromEntries([...(claims.tags ?? [])].map(([tag, values]) => [tag, [...values].sort()])),
    Type: claims.type ?? '',
    ...(claims.workload ? { Workload: claims.workload } : {}),
  };
}

export function zonePayload(claims: ZoneClaims): JWTPayload {
  return { Zone: claims.zone ?? '', Scope: [...claims.scope] };
}

export function userPayload(claims: UserClaims): JWTPayload {
  return { Name: claims.name, Groups: [...claims.groups] };
}

/** Throws `invalid-claims`. */
export function parseDataplaneClaims(payload: JWTPayload): DataplaneClaims {
  const claims = exactNames(payload, ['Name', 'Mesh', 'Tags', 'Type', 'Workload']);
  const type = text(claims, 'Type');
  if (type !== undefined && !PROXY_TYPES.includes(type as ProxyType)) {
    throw invalid(`claim "Type" must be one of ${PROXY_TYPES.join(', ')}`);
  }
  const tags = tagMap(claims.get('Tags'));
  return {
    ...present('name', text(claims, 'Name')),
    ...present('mesh', text(claims, 'Mesh')),
    ...(tags.size > 0 ? { tags } : {}),
    ...present('type', type as ProxyType | undefined),
    ...present('workload', text(claims, 'Workload')),
  };
}

/** Throws `invalid-claims`. */
export function parseZoneClaims(payload: JWTPayload): ZoneClaims {
  const claims = exactNames(payload, ['Zone', 'Scope']);
  return { ...present('zone', text(claims, 'Zone')), scope: textList(claims.get('Scope'), 'Scope') };
}

/** Throws `invalid-claims`. */
export function parseUserClaims(payload: JWTPayload): UserClaims {
  const claims = exactNames(payload, ['Name', 'Groups']);
  const name = text(claims, 'Name');
  if (name === undefined) throw invalid('claim "Name" is missing');
  return { name, groups: textList(claims.get('Groups'), 'Groups') };
}

/**
 * The payload, after making sure that no claim of ours is there under another casing: Go readers take `name` for `Name`,
 * so such a token would be bound for them and free for us.
 */
function exactNames(payload: JWTPayload, names: readonly string[]): ReadonlyMap<string, unknown> {
  const claims = new Map<string, unknown>(Object.entries(payload));
  for (const given of claims.keys()) {
    const meant = names.find((name) => name.toLowerCase() === given.toLowerCase());
    if (meant !== undefined && meant !== given) throw invalid(`claim "${meant}" must be spelled with this casing`);
  }
  return claims;
}

function text(claims: ReadonlyMap<string, unknown>, name: string): string | undefined {
  const value = claims.get(name);
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`claim "${name}" must be a string`);
  return value;
}

function textList(value: unknown, name: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw invalid(`claim "${name}" must be a list of strings`);
  }
  return value as string[];
}

function tagMap(value: unknown): ReadonlyMap<string, readonly string[]> {
  if (value === undefined || value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('claim "Tags" must be an object of lists');
  return new Map(Object.entries(value).map(([tag, values]) => [tag, textList(values, `Tags["${tag}"]`)]));
}

function present<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}

function invalid(what: string): AuthError {
  return new AuthError('invalid-claims', `token is not valid: ${what}`);
}
