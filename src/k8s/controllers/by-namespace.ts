import type { ListWatch, ListWatchEvent } from '../api/list-watch.ts';
import type { KubeObject } from '../api/object.ts';

/** Objects of a list-watch by their namespace, kept in step with it. */
export interface ByNamespace<T extends KubeObject> {
  of(namespace: string): Iterable<T>;
  close(): void;
}

/** `keep` says which objects count; absent: all. A listener that subscribes later sees an index that is already up to date. */
export function indexByNamespace<T extends KubeObject>(
  source: ListWatch<T>,
  keep: (object: T) => boolean = () => true,
): ByNamespace<T> {
  const namespaces = new Map<string, Map<string, T>>();

  function put({ op, object }: ListWatchEvent<T> | { op: 'upsert'; object: T }): void {
    const { namespace = '', name } = object.metadata;
    let objects = namespaces.get(namespace);
    if (op === 'upsert' && keep(object)) {
      if (objects === undefined) {
        objects = new Map();
        namespaces.set(namespace, objects);
      }
      objects.set(name, object);
      return;
    }
    objects?.delete(name);
    if (objects?.size === 0) namespaces.delete(namespace);
  }

  for (const object of source.items()) put({ op: 'upsert', object });
  const close = source.subscribe(put);
  return { of: (namespace) => namespaces.get(namespace)?.values() ?? [], close };
}
