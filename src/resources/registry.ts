import type { Kind } from './kind.ts';

/** The kinds of one program, looked up by type or by REST path. */
export interface Registry {
  /** `undefined`: no kind of this name. */
  byType(type: string): Kind | undefined;
  /** Also finds aliases (`global-secrets`). `undefined` for internal kinds and those of Kubernetes only: they have no REST path. */
  byPath(path: string): Kind | undefined;
  /** Every kind, internal ones included, sorted by type. */
  list(): readonly Kind[];
}

/** Throws `Error` when two kinds share a type, a path or an alias: a mistake of the program, found at start. */
export function createRegistry(kinds: readonly Kind[]): Registry {
  const types = new Map<string, Kind>();
  const paths = new Map<string, Kind>();
  for (const kind of kinds) {
    addOnce(types, kind.type, kind);
    if (kind.internal || kind.onlyKubernetes === true) continue;
    for (const path of [kind.path, ...kind.pathAliases]) addOnce(paths, path, kind);
  }
  const sorted = [...kinds].sort((a, b) => (a.type < b.type ? -1 : 1));
  return {
    byType: (type) => types.get(type),
    byPath: (path) => paths.get(path),
    list: () => sorted,
  };
}

function addOnce(map: Map<string, Kind>, key: string, kind: Kind): void {
  const other = map.get(key);
  if (other) throw new Error(`register kind ${kind.type}: "${key}" already belongs to ${other.type}`);
  map.set(key, kind);
}
