import {
  ANYONE,
  everyOf,
  httpRbac,
  networkRbac,
  notPrincipal,
  oneOf,
  type PrincipalInit,
  type RbacRules,
  uriPrincipal,
} from '../../envoy/rbac.ts';
import { selectsInbound } from '../../policies/core/match.ts';
import { isShadow, type PolicySpec } from '../../policies/core/policy.ts';
import { sanOfTag } from '../../policies/mesh-traffic-permission/client-matcher.ts';
import {
  type ClientMatcher,
  type InboundPermissions,
  permissionsFor,
} from '../../policies/mesh-traffic-permission/rules.ts';
import type { DataplaneInbound } from '../../resources/kinds/dataplane.ts';
import type { Resource } from '../../resources/resource.ts';
import { type GenerationMemos, memoOf } from '../cache.ts';
import type { MeshFeatures } from '../mesh-features.ts';
import type { SidecarContext } from './context.ts';

/** Who may use the inbound. Inbounds selected by the same policies share one object. */
export function inboundPermissions(context: SidecarContext, inbound: DataplaneInbound): InboundPermissions {
  const { dataplane, permissions, shadow, cache } = context;
  const selected = permissions.filter(
    (policy) => (shadow || !isShadow(policy)) && selectsInbound(asPolicy(policy), dataplane, inbound),
  );
  const key = `${shadow}|${selected.map((policy) => policy.meta.name).join('|')}`;
  return memoOf(cache.memos.permissions, permissions, key, () =>
    permissionsFor(dataplane, inbound, selected, { shadow }),
  );
}

/** Specs in a snapshot passed their kind's schema, which has a top-level targetRef for every policy. */
function asPolicy(resource: Resource): Resource<PolicySpec> {
  return resource as Resource<PolicySpec>;
}

/** Encoded RBAC filter, shared by every inbound under these permissions. */
export function rbacBytes(
  memos: GenerationMemos,
  { name, distrust }: Pick<MeshFeatures, 'name' | 'distrust'>,
  permissions: InboundPermissions,
  kind: 'http' | 'network',
): Uint8Array {
  return memoOf(memos.rbac, permissions, `${kind}|${name}|${distrust.denied.join(' ')}`, () => {
    const rules = rbacRules(name, permissions, distrust.denied);
    return kind === 'http' ? httpRbac(rules) : networkRbac(rules);
  });
}

/** Envoy has one action per filter: where something is denied, every allowed principal is narrowed down to "and not one of those". */
function rbacRules(
  mesh: string,
  { allow, deny, shadowDeny }: InboundPermissions,
  distrusted: readonly string[],
): RbacRules {
  const principals = (list: InboundPermissions['allow']) => list.map(({ clients }) => principalOf(mesh, clients));
  const allowed = principals(allow);
  const denied = [...principals(deny), ...distrusted.map((service) => uriPrincipal(`spiffe://${mesh}/${service}`))];
  return {
    allow:
      denied.length === 0 || allowed.length === 0 ? allowed : [everyOf([oneOf(allowed), notPrincipal(oneOf(denied))])],
    shadowDeny: principals(shadowDeny),
  };
}

function principalOf(mesh: string, matcher: ClientMatcher): PrincipalInit {
  switch (matcher.kind) {
    case 'any':
      return ANYONE;
    case 'tag':
      return uriPrincipal(sanOfTag(mesh, matcher.key, matcher.value));
    case 'spiffe-exact':
      return uriPrincipal(matcher.value);
    case 'spiffe-prefix':
      return uriPrincipal(matcher.value, 'prefix');
    case 'and':
      return everyOf(matcher.parts.map((part) => principalOf(mesh, part)));
    case 'or':
      return oneOf(matcher.parts.map((part) => principalOf(mesh, part)));
    case 'not':
      return notPrincipal(principalOf(mesh, matcher.part));
    default:
      return matcher satisfies never;
  }
}
