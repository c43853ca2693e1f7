/**
 * Values by key, each kept exactly as long as someone else holds it. `make` runs only when nobody has the value any more, so equal keys
 * share one object and a forgotten one costs nothing.
 */
export interface InternPool<Value extends object> {
  get(key: string, make: () => Value): Value;
  /** Entries now, dead ones that are not swept yet included. */
  readonly size: number;
}

export function createInternPool<Value extends object>(): InternPool<Value> {
  const values = new Map<string, WeakRef<Value>>();
  const gone = new FinalizationRegistry<string>((key) => {
    if (values.get(key)?.deref() === undefined) values.delete(key);
  });
  return {
    get(key, make) {
      const held = values.get(key)?.deref();
      if (held !== undefined) return held;
      const made = make();
      values.set(key, new WeakRef(made));
      gone.register(made, key);
      return made;
    },
    get size() {
      return values.size;
    },
  };
}

/** Values by key, the least recently used ones dropped in bulk: never more than twice `generation` entries. */
export interface RecentMap<Value> {
  get(key: string, make: () => Value): Value;
}

export function createRecentMap<Value>(generation: number): RecentMap<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  return {
    get(key, make) {
      const found = young.get(key);
      if (found !== undefined) return found;
      const value = old.get(key) ?? make();
      if (young.size >= generation) {
        old = young;
        young = new Map();
      }
      young.set(key, value);
      return value;
    },
  };
}
