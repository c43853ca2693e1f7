import { SERVICE_TAG } from '../../resources/kinds/tags.ts';
import type { TargetRef } from './target-ref.ts';

/**
 * Legacy `from` lists: each item is about a subset of clients, given by tags, and for one client the last item that matches decides
 * (ascending precedence). Kuma enumerates every positive/negative combination of the tags, which is exponential in their number;
 * the same answer, as an expression, is "item i matches, and no later item that says otherwise does", which is quadratic.
 */
export interface SubsetItem<T> {
  /** Tags the client must carry; none: every client. */
  readonly tags: ReadonlyMap<string, string>;
  readonly conf: T;
}

/** Clients that are in `tags` and in none of `except`. */
export interface SubsetRule<T> extends SubsetItem<T> {
  readonly except: readonly ReadonlyMap<string, string>[];
}

/** The clients a `from[].targetRef` means; `undefined`: none can be told by tags (a name is missing). Keys in order. */
export function clientTags(ref: TargetRef): ReadonlyMap<string, string> | undefined {
  const tags = new Map(Object.entries(ref.tags ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  switch (ref.kind) {
    case 'Mesh':
      return new Map();
    case 'MeshSubset':
      return tags;
    case 'MeshService':
      return ref.name === undefined || ref.name === '' ? undefined : new Map([[SERVICE_TAG, ref.name]]);
    case 'MeshServiceSubset':
      return ref.name === undefined || ref.name === '' ? undefined : new Map([[SERVICE_TAG, ref.name], ...tags]);
    default:
      return undefined;
  }
}

/**
 * For each item whose conf is `wanted`: its clients, without those for whom a later item says otherwise. Together: exactly the clients
 * whose last matching item is wanted. Items that a later one covers whole are left out. Two different values of one tag are taken to be
 * different clients, as Kuma does: a proxy with both values gets what either gives it.
 */
export function rulesWhere<T>(items: readonly SubsetItem<T>[], wanted: (conf: T) => boolean): readonly SubsetRule<T>[] {
  const live = items.filter((item, index) => !items.slice(index + 1).some((later) => covers(later.tags, item.tags)));
  return live.flatMap((item, index) => {
    if (!wanted(item.conf)) return [];
    const others = live.slice(index + 1).filter((later) => !wanted(later.conf) && !disjoint(later.tags, item.tags));
    return [{ ...item, except: withoutCovered(others.map((later) => later.tags)) }];
  });
}

/** True when every client of `inner` is one of `outer`. */
function covers(outer: ReadonlyMap<string, string>, inner: ReadonlyMap<string, string>): boolean {
  return [...outer].every(([key, value]) => inner.get(key) === value);
}

function disjoint(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return [...a].some(([key, value]) => b.has(key) && b.get(key) !== value);
}

/** The widest of the subsets only. */
function withoutCovered(subsets: readonly ReadonlyMap<string, string>[]): readonly ReadonlyMap<string, string>[] {
  return subsets.filter(
    (one, index) =>
      !subsets.some((other, at) => at !== index && covers(other, one) && (at < index || !covers(one, other))),
  );
}
