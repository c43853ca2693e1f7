import { keyOf, keyText, type Resource, type ResourceKey } from '../resources/resource.ts';
import { frozenJson } from './frozen.ts';
import { StoreError, type Write } from './store.ts';

/** What an engine knows of a stored resource when it plans a write. */
export interface Stored {
  readonly version: string;
  readonly creationTime: string;
  /** When at hand: parts that the write leaves equal keep their identity. */
  readonly resource?: Resource;
}

/** Where one key stands after a transaction. */
export interface Outcome {
  readonly key: ResourceKey;
  /** Absent: deleted. */
  readonly resource?: Resource;
  /** Number of the write that made it so. */
  readonly version: number;
  /** Was it stored before the transaction? */
  readonly existed: boolean;
}

export interface Plan {
  /** One for each write that is not a delete, in order. */
  readonly results: readonly Resource[];
  /** By `keyText`, in the order of each key's last write. A key that neither was nor stays has no entry. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** Number of the last write. */
  readonly lastVersion: number;
}

export interface PlanContext {
  /** State before the transaction. */
  readonly stored: (key: ResourceKey) => Stored | undefined;
  /** Number of the last write of the whole store; this transaction's writes get the following ones. */
  readonly lastVersion: number;
  /** RFC 3339, UTC. */
  readonly now: string;
}

/**
 * What a transaction does, without doing it: pure, and the same for every engine. Versions are numbers of one sequence over the whole store,
 * so a resource that is deleted and created again never gets an old version back. Throws the `StoreError` of the first write that may not be.
 */
export function planWrites(writes: readonly Write[], context: PlanContext): Plan {
  const results: Resource[] = [];
  const outcomes = new Map<string, Outcome>();
  let version = context.lastVersion;
  for (const write of writes) {
    version += 1;
    const key = write.op === 'delete' ? write.key : keyOf(write.resource);
    const text = keyText(key);
    const planned = outcomes.get(text);
    const current = planned === undefined ? context.stored(key) : storedBy(planned);
    const existed = planned?.existed ?? current !== undefined;
    check(write, key, current);
    // Deleted first, so that the key moves to the place of its last write.
    outcomes.delete(text);
    if (write.op === 'delete') {
      if (existed) outcomes.set(text, { key, version, existed });
      continue;
    }
    const resource = stamp(write.resource, current, version, context.now);
    outcomes.set(text, { key, resource, version, existed });
    results.push(resource);
  }
  return { results, outcomes, lastVersion: version };
}

/** A stored resource as a planner wants it. */
export function toStored(resource: Resource): Stored {
  return { version: resource.meta.version, creationTime: resource.meta.creationTime, resource };
}

/** `Dataplane web-1 in mesh default`, for messages. */
export function describeKey(key: ResourceKey): string {
  return key.mesh === '' ? `${key.type} ${key.name}` : `${key.type} ${key.name} in mesh ${key.mesh}`;
}

function storedBy(outcome: Outcome): Stored | undefined {
  return outcome.resource === undefined ? undefined : toStored(outcome.resource);
}

function check(write: Write, key: ResourceKey, current: Stored | undefined): void {
  switch (write.op) {
    case 'put':
      return;
    case 'create':
      if (current === undefined) return;
      throw new StoreError('already-exists', `create ${describeKey(key)}: it exists already; update it instead`, {
        key,
      });
    case 'update':
    case 'delete':
      if (current === undefined) {
        throw new StoreError('not-found', `${write.op} ${describeKey(key)}: it does not exist`, { key });
      }
      if (write.version === undefined || write.version === current.version) return;
      throw new StoreError(
        'conflict',
        `${write.op} ${describeKey(key)}: version ${current.version} is stored, ${write.version} was expected; read it again and retry`,
        { key },
      );
    default:
      write satisfies never;
  }
}

function stamp(incoming: Resource, current: Stored | undefined, version: number, now: string): Resource {
  const old = current?.resource;
  const meta = Object.freeze({
    mesh: incoming.meta.mesh,
    name: incoming.meta.name,
    labels: frozenJson(incoming.meta.labels, old?.meta.labels),
    creationTime: current?.creationTime ?? now,
    modificationTime: now,
    version: String(version),
  });
  const spec = frozenJson(incoming.spec, old?.spec);
  const status = frozenJson(incoming.status, old?.status);
  return Object.freeze(
    status === undefined ? { type: incoming.type, meta, spec } : { type: incoming.type, meta, spec, status },
  );
}
