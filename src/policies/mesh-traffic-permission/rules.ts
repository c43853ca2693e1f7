import type { DataplaneInbound, DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import { kriOf } from '../../resources/kri.ts';
import type { Resource } from '../../resources/resource.ts';
import { selectsInbound } from '../core/match.ts';
import { sortPolicies } from '../core/order.ts';
import { isShadow } from '../core/policy.ts';
import { clientTags, rulesWhere, type SubsetItem, type SubsetRule } from '../core/subset-rules.ts';
import type { ClientMatcher, InboundPermissions, Permission } from './client-matcher.ts';
import type { MeshTrafficPermissionSpec, PermissionAction, PermissionMatch } from './schema.ts';

export type { ClientMatcher, InboundPermissions, Permission } from './client-matcher.ts';

type Policy = Resource<MeshTrafficPermissionSpec>;

export interface PermissionOptions {
  /** Shadow policies take part: the configuration as it would be with them. */
  readonly shadow: boolean;
}

/**
 * Who may use `inbound` of `dataplane`, given the MeshTrafficPermissions of its mesh (any order; other kinds are ignored).
 * No policy selects the inbound: nobody may. When one that selects it has `rules`, only `rules` count, as in Kuma 2.14;
 * else the `from` lists do. Pure; the result depends on nothing but the arguments.
 */
export function permissionsFor(
  dataplane: Resource<DataplaneSpec>,
  inbound: DataplaneInbound,
  policies: readonly Resource[],
  options: PermissionOptions,
): InboundPermissions {
  const selected = policies
    .filter(isPermission)
    .filter((policy) => (options.shadow || !isShadow(policy)) && selectsInbound(policy, dataplane, inbound));
  const ordered = sortPolicies(selected);
  return ordered.some((policy) => (policy.spec.rules ?? []).length > 0) ? fromRules(ordered) : fromLists(ordered);
}

/** Specs come from the store, where only what passed this kind's schema is kept. */
function isPermission(resource: Resource): resource is Policy {
  return resource.type === 'MeshTrafficPermission';
}

function fromRules(policies: readonly Policy[]): InboundPermissions {
  const collect = (pick: (conf: RuleConf) => readonly PermissionMatch[]): readonly Permission[] =>
    policies.flatMap((policy) =>
      (policy.spec.rules ?? []).flatMap((rule) =>
        pick(rule.default).map((match) => ({ policy: kriOf('mtp', policy), clients: matcherOf(match) })),
      ),
    );
  return {
    allow: collect((conf) => [...(conf.allow ?? []), ...(conf.allowWithShadowDeny ?? [])]),
    deny: collect((conf) => conf.deny ?? []),
    shadowDeny: collect((conf) => conf.allowWithShadowDeny ?? []),
  };
}

type RuleConf = NonNullable<MeshTrafficPermissionSpec['rules']>[number]['default'];

function matcherOf(match: PermissionMatch): ClientMatcher {
  const id = match.spiffeID;
  // Validation refuses a match without a condition; should one be stored, it means nobody.
  if (id === undefined) return { kind: 'not', part: { kind: 'any' } };
  return { kind: id.type === 'Prefix' ? 'spiffe-prefix' : 'spiffe-exact', value: id.value };
}

interface Decision {
  readonly policy: string;
  readonly action: PermissionAction;
}

function fromLists(policies: readonly Policy[]): InboundPermissions {
  const items: SubsetItem<Decision>[] = policies.flatMap((policy) =>
    (policy.spec.from ?? []).flatMap((item) => {
      const tags = clientTags(item.targetRef);
      const action = item.default?.action;
      return tags === undefined || action === undefined
        ? []
        : [{ tags, conf: { policy: kriOf('mtp', policy), action } }];
    }),
  );
  return {
    allow: rulesWhere(items, (conf) => conf.action !== 'Deny').map(permissionOf),
    deny: [],
    shadowDeny: rulesWhere(items, (conf) => conf.action === 'AllowWithShadowDeny').map(permissionOf),
  };
}

function permissionOf(rule: SubsetRule<Decision>): Permission {
  const parts: ClientMatcher[] = [
    ...tagMatchers(rule.tags),
    ...rule.except.map((tags): ClientMatcher => ({ kind: 'not', part: all(tagMatchers(tags)) })),
  ];
  return { policy: rule.conf.policy, clients: all(parts) };
}

function tagMatchers(tags: ReadonlyMap<string, string>): readonly ClientMatcher[] {
  return [...tags].map(([key, value]): ClientMatcher => ({ kind: 'tag', key, value }));
}

function all(parts: readonly ClientMatcher[]): ClientMatcher {
  if (parts.length === 0) return { kind: 'any' };
  return parts.length === 1 ? parts[0]! : { kind: 'and', parts };
}
