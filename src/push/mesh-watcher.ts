import type { Clock, Timer } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { buildSnapshot, type SnapshotUpdate } from '../mesh/build.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { ServiceVips } from '../mesh/vips.ts';
import { followStore } from '../store/follow.ts';
import type { Change, ResourceStore } from '../store/store.ts';

/** One mesh after a batch of changes. */
export interface MeshUpdate extends SnapshotUpdate {
  readonly mesh: string;
  /** Names of the Dataplanes written or deleted in the batch. */
  readonly touchedDataplanes: ReadonlySet<string>;
}

export interface MeshWatcherOptions {
  readonly store: ResourceStore;
  /** Kinds that reach Envoy: Mesh, Dataplane and the policies. */
  readonly types: readonly string[];
  /** Addresses of services that come from elsewhere than the store. */
  readonly vips?: ServiceVips;
  readonly clock: Clock;
  readonly log: Logger;
  /** Changes that follow each other within this time become one update. Milliseconds. */
  readonly quietMs?: number;
  /** No update waits longer than this. Milliseconds. */
  readonly longestWaitMs?: number;
}

/**
 * Keeps one `MeshSnapshot` per mesh in step with the store: collects changes for a few milliseconds, builds the new snapshot out of the old one,
 * tells the listeners. Nothing runs while nothing changes.
 */
export interface MeshWatcher {
  snapshot(mesh: string): MeshSnapshot | undefined;
  snapshots(): ReadonlyMap<string, MeshSnapshot>;
  /** Resolves when everything the store held at start is in the snapshots. */
  readonly synced: Promise<void>;
  subscribe(listener: (update: MeshUpdate) => void): () => void;
  /** Ends when `signal` aborts; a store that is away is tried again. */
  run(signal: AbortSignal): Promise<void>;
}

export function createMeshWatcher(options: MeshWatcherOptions): MeshWatcher {
  const { store, clock, log } = options;
  const quietMs = options.quietMs ?? 3;
  const longestWaitMs = options.longestWaitMs ?? 50;
  const snapshots = new Map<string, MeshSnapshot>();
  const listeners = new Set<(update: MeshUpdate) => void>();
  let pending: Change[] = [];
  let pendingVips = new Set<string>();
  let firstPendingAt = 0;
  let timer: Timer | undefined;
  let syncSeen = false;
  const { promise: synced, resolve: resolveSynced } = Promise.withResolvers<void>();

  function collect(batch: readonly Change[]): void {
    startWaiting();
    for (const change of batch) {
      if (change.op === 'synced') syncSeen = true;
      else pending.push(change);
    }
    applySoon();
  }

  function startWaiting(): void {
    if (pending.length === 0 && pendingVips.size === 0) firstPendingAt = clock.monotonic();
  }

  function applySoon(): void {
    timer?.cancel();
    const waited = clock.monotonic() - firstPendingAt;
    timer = clock.after(Math.max(0, Math.min(quietMs, longestWaitMs - waited)), apply);
  }

  function apply(): void {
    timer = undefined;
    const changes = pending;
    const vipChanges = options.vips && { source: options.vips, changed: pendingVips };
    const groups = groupByMesh(changes);
    for (const mesh of meshesOf(pendingVips)) if (!groups.has(mesh)) groups.set(mesh, []);
    pending = [];
    pendingVips = new Set();
    for (const [mesh, ofMesh] of groups) {
      const update = buildSnapshot(snapshots.get(mesh), mesh, ofMesh, vipChanges);
      const { snapshot } = update;
      const empty = snapshot.mesh === undefined && snapshot.dataplanes.size === 0;
      if (empty) snapshots.delete(mesh);
      else snapshots.set(mesh, snapshot);
      const touchedDataplanes = new Set(
        ofMesh.flatMap((change) => (change.op === 'synced' ? [] : dataplaneName(change))),
      );
      for (const listener of listeners) listener({ ...update, mesh, touchedDataplanes });
    }
    if (syncSeen) resolveSynced();
  }

  /** Meshes that one of these services is in. */
  function meshesOf(services: ReadonlySet<string>): readonly string[] {
    if (services.size === 0) return [];
    return [...snapshots]
      .filter(([, snapshot]) => [...services].some((service) => snapshot.services.has(service)))
      .map(([mesh]) => mesh);
  }

  return {
    snapshot: (mesh) => snapshots.get(mesh),
    snapshots: () => snapshots,
    synced,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async run(signal) {
      const unsubscribe = options.vips?.subscribe((services) => {
        startWaiting();
        for (const service of services) pendingVips.add(service);
        applySoon();
      });
      await followStore({ store, clock, log, signal, types: options.types, what: 'the store' }, collect);
      unsubscribe?.();
      timer?.cancel();
    },
  };
}

/** The name of a mesh is its own name for a Mesh, its mesh for everything else. */
function groupByMesh(changes: readonly Change[]): Map<string, Change[]> {
  const groups = new Map<string, Change[]>();
  for (const change of changes) {
    if (change.op === 'synced') continue;
    const key = change.op === 'delete' ? change.key : { type: change.resource.type, ...change.resource.meta };
    const mesh = key.type === 'Mesh' ? key.name : key.mesh;
    const group = groups.get(mesh);
    if (group) group.push(change);
    else groups.set(mesh, [change]);
  }
  return groups;
}

function dataplaneName(change: Exclude<Change, { op: 'synced' }>): string[] {
  if (change.op === 'delete') return change.key.type === 'Dataplane' ? [change.key.name] : [];
  return change.resource.type === 'Dataplane' ? [change.resource.meta.name] : [];
}
