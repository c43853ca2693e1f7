/**
 * Which clients a permission is about, as an expression over what the client's certificate says. The sides of the contract:
 * `permissionsFor` builds it, `xds/` turns each node into one Envoy RBAC principal.
 *
 * | node | Envoy principal |
 * |---|---|
 * | `any` | `any: true` |
 * | `tag` | authenticated, URI SAN exact `spiffe://<mesh>/<value>` for `kuma.io/service`, else `kuma://<key>/<value>` |
 * | `spiffe-exact` | authenticated, URI SAN exact `value` |
 * | `spiffe-prefix` | authenticated, URI SAN prefix `value` |
 * | `and` | `andIds`; never empty |
 * | `or` | `orIds`; never empty |
 * | `not` | `notId` |
 */
export type ClientMatcher =
  /** Every client with a valid mesh certificate. */
  | { readonly kind: 'any' }
  /** Clients that carry this tag with this value. */
  | { readonly kind: 'tag'; readonly key: string; readonly value: string }
  /** Clients with exactly this SPIFFE ID. */
  | { readonly kind: 'spiffe-exact'; readonly value: string }
  /** Clients whose SPIFFE ID starts with this text. */
  | { readonly kind: 'spiffe-prefix'; readonly value: string }
  /** Clients that every part matches. */
  | { readonly kind: 'and'; readonly parts: readonly ClientMatcher[] }
  /** Clients that at least one part matches. */
  | { readonly kind: 'or'; readonly parts: readonly ClientMatcher[] }
  /** Clients that `part` does not match. */
  | { readonly kind: 'not'; readonly part: ClientMatcher };

/** A matcher and the policy that it comes from. */
export interface Permission {
  /** KRI of the MeshTrafficPermission, for access logs and statistics. */
  readonly policy: string;
  readonly clients: ClientMatcher;
}

/**
 * Who may use one inbound. A request passes when some `allow` entry matches and no `deny` entry does; `shadowDeny` changes nothing,
 * it marks clients that will be refused once the shadow is lifted (Envoy: `shadow_rules`, action DENY).
 * All lists are in a stable order; no `allow` entry means nobody passes.
 */
export interface InboundPermissions {
  readonly allow: readonly Permission[];
  /** From `rules[].default.deny`. Entries of `from` never come here: their order is already worked into `allow`. */
  readonly deny: readonly Permission[];
  readonly shadowDeny: readonly Permission[];
}

/** True when a client with these URI SANs is meant. The reference for tests, and for `inspect`; Envoy does the same on each request. */
export function matchesClient(matcher: ClientMatcher, uriSans: ReadonlySet<string>, mesh: string): boolean {
  switch (matcher.kind) {
    case 'any':
      return true;
    case 'tag':
      return uriSans.has(sanOfTag(mesh, matcher.key, matcher.value));
    case 'spiffe-exact':
      return uriSans.has(matcher.value);
    case 'spiffe-prefix':
      return [...uriSans].some((san) => san.startsWith(matcher.value));
    case 'and':
      return matcher.parts.every((part) => matchesClient(part, uriSans, mesh));
    case 'or':
      return matcher.parts.some((part) => matchesClient(part, uriSans, mesh));
    case 'not':
      return !matchesClient(matcher.part, uriSans, mesh);
    default:
      return matcher satisfies never;
  }
}

/** The URI SAN that says a client carries a tag; section 2.1 of the identity contract. */
export function sanOfTag(mesh: string, key: string, value: string): string {
  return key === 'kuma.io/service' ? `spiffe://${mesh}/${value}` : `kuma://${key}/${value}`;
}
