import { selectsDataplane, selectsInbound } from '../policies/core/match.ts';
import { mergeConfs } from '../policies/core/merge.ts';
import { sortPolicies } from '../policies/core/order.ts';
import { isShadow, type PolicySpec } from '../policies/core/policy.ts';
import { clientTags } from '../policies/core/subset-rules.ts';
import type { TargetRef } from '../policies/core/target-ref.ts';
import type { DataplaneInbound, DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';

/** Parts of a targetRef policy that inbound rules are made of. */
export interface InboundPolicySpec extends PolicySpec {
  readonly from?: readonly { readonly targetRef: TargetRef; readonly default?: unknown }[];
  readonly rules?: readonly { readonly default: unknown }[];
}

type Policy = Resource<InboundPolicySpec>;

/** One combination of client tags and what holds for it. `not` means the client lacks that value. */
export interface ClientRule {
  readonly matchers: readonly { readonly key: string; readonly value: string; readonly not: boolean }[];
  readonly conf: unknown;
  /** Policies that it comes from, ascending. */
  readonly origin: readonly Policy[];
}

/** What the policies of one kind say for one inbound. */
export interface InboundRules {
  readonly inbound: DataplaneInbound;
  /** From `from` lists: rules per subset of clients. */
  readonly fromRules: readonly ClientRule[];
  /** From `rules` lists, each entry as it stands. */
  readonly entries: readonly { readonly conf: unknown; readonly origin: Policy; readonly ruleIndex: number }[];
}

/** Policies of one kind that select any part of the Dataplane and are no shadows, in ascending precedence. Pure. */
export function policiesFor(dataplane: Resource<DataplaneSpec>, policies: readonly Policy[]): readonly Policy[] {
  return sortPolicies(policies.filter((policy) => !isShadow(policy) && selectsDataplane(policy, dataplane)));
}

/** Inbounds that some policy says something about. Pure. */
export function inboundRules(dataplane: Resource<DataplaneSpec>, policies: readonly Policy[]): readonly InboundRules[] {
  const matched = policiesFor(dataplane, policies);
  return (dataplane.spec.networking?.inbound ?? [])
    .map((inbound) => {
      const selected = matched.filter((policy) => selectsInbound(policy, dataplane, inbound));
      return { inbound, fromRules: clientRules(selected), entries: ruleEntries(selected) };
    })
    .filter(({ fromRules, entries }) => fromRules.length > 0 || entries.length > 0);
}

function ruleEntries(policies: readonly Policy[]): InboundRules['entries'] {
  return policies.flatMap((origin) =>
    (origin.spec.rules ?? []).map((rule, ruleIndex) => ({ conf: rule.default, origin, ruleIndex })),
  );
}

interface Item {
  /** `key=value` pairs the client must have. */
  readonly tags: ReadonlyMap<string, string>;
  readonly conf: unknown;
  readonly origin: Policy;
}

/** Combinations grow as 2^n; beyond this many different tags only the combinations that some item names as such are shown. */
const MAX_ENUMERATED_TAGS = 8;

function clientRules(policies: readonly Policy[]): readonly ClientRule[] {
  const items = policies.flatMap((origin): Item[] =>
    (origin.spec.from ?? []).flatMap((item) => {
      const tags = clientTags(item.targetRef);
      return tags === undefined ? [] : [{ tags, conf: item.default, origin }];
    }),
  );
  if (items.length === 0) return [];
  const atoms = distinctTags(items);
  const combinations =
    atoms.length <= MAX_ENUMERATED_TAGS ? everyCombination(atoms) : items.map((item) => [...item.tags]);
  const rules = combinations.flatMap((positive) => ruleOf(positive, atoms, items));
  return rules.sort((a, b) => positives(b) - positives(a));
}

function positives(rule: ClientRule): number {
  return rule.matchers.filter((matcher) => !matcher.not).length;
}

type Tag = readonly [key: string, value: string];

function distinctTags(items: readonly Item[]): readonly Tag[] {
  const byText = new Map(items.flatMap((item) => [...item.tags].map((tag): [string, Tag] => [tag.join('='), tag])));
  return [...byText.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, tag]) => tag);
}

/** Every set of tags a client may have, at most one value of a key. */
function everyCombination(atoms: readonly Tag[]): readonly (readonly Tag[])[] {
  const sets: (readonly Tag[])[] = [[]];
  for (const tag of atoms) {
    const extended = sets.filter((set) => set.every(([key]) => key !== tag[0])).map((set) => [...set, tag]);
    sets.push(...extended);
  }
  return sets;
}

function ruleOf(positive: readonly Tag[], atoms: readonly Tag[], items: readonly Item[]): readonly ClientRule[] {
  const given = new Map(positive);
  const applied = items.filter((item) => [...item.tags].every(([key, value]) => given.get(key) === value));
  if (applied.length === 0) return [];
  const absent = atoms.filter(([key]) => !given.has(key));
  const matchers = [
    ...positive.map(([key, value]) => ({ key, value, not: false })),
    ...absent.map(([key, value]) => ({ key, value, not: true })),
  ].sort((a, b) => (a.key + a.value < b.key + b.value ? -1 : 1));
  return [
    {
      matchers,
      conf: mergeConfs(applied.map((item) => item.conf)),
      origin: [...new Set(applied.map((item) => item.origin))],
    },
  ];
}
