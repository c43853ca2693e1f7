import type { Clock, Timer } from '../lib/clock.ts';
import { stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Resource, ResourceKey } from '../resources/resource.ts';
import { followStore } from '../store/follow.ts';
import type { ResourceStore, Write } from '../store/store.ts';
import { buildMeshInsight, buildServiceInsight, type InsightView } from './mesh-insight.ts';

/**
 * Keeps MeshInsight and ServiceInsight of every mesh in step with its Dataplanes and their insights. One control plane of a store runs it (a leader task).
 * Works only after something changed, at most once per `delayMs` and mesh; an insight that would be the same is not written.
 */
export async function aggregateInsights(options: {
  store: ResourceStore;
  clock: Clock;
  log: Logger;
  /** Snapshot of a mesh, and news of it. */
  snapshots: {
    snapshot(mesh: string): MeshSnapshot | undefined;
    subscribe(listener: (update: { mesh: string }) => void): () => void;
    snapshots(): ReadonlyMap<string, MeshSnapshot>;
  };
  policyTypes: ReadonlySet<string>;
  /** What is counted under `resources`: not what the control plane writes itself. */
  countedTypes: ReadonlySet<string>;
  delayMs: number;
  signal: AbortSignal;
}): Promise<void> {
  const { store, clock, log, snapshots, signal } = options;
  const insights = new Map<string, Map<string, InsightView>>();
  const dirty = new Set<string>();
  const written = new Map<string, string>();
  let timer: Timer | undefined;
  let running = false;

  function touch(mesh: string): void {
    dirty.add(mesh);
    if (timer === undefined && !running && !signal.aborted) timer = clock.after(options.delayMs, () => void run());
  }

  async function run(): Promise<void> {
    timer = undefined;
    running = true;
    const meshes = [...dirty];
    dirty.clear();
    for (const mesh of meshes) {
      try {
        await write(mesh);
      } catch (error) {
        log.warn('writing mesh and service insights failed, trying again', { mesh, error });
        dirty.add(mesh);
      }
    }
    running = false;
    if (dirty.size > 0) touch([...dirty][0]!);
  }

  async function write(mesh: string): Promise<void> {
    const snapshot = snapshots.snapshot(mesh);
    const keys: [ResourceKey, (snapshot: MeshSnapshot) => Promise<Record<string, unknown>>][] = [
      [
        { type: 'MeshInsight', mesh: '', name: mesh },
        async (current) =>
          buildMeshInsight(current, insights.get(mesh) ?? new Map(), await counts(mesh), options.policyTypes),
      ],
      [
        { type: 'ServiceInsight', mesh, name: `all-services-${mesh}` },
        async (current) => buildServiceInsight(current, insights.get(mesh) ?? new Map()),
      ],
    ];
    const writes: Write[] = [];
    for (const [key, build] of keys) {
      const id = `${key.type}/${mesh}`;
      if (snapshot?.mesh === undefined) {
        written.delete(id);
        if ((await store.get(key)) !== undefined) writes.push({ op: 'delete', key });
        continue;
      }
      const spec = await build(snapshot);
      const text = stableJson(spec);
      if (written.get(id) === text) continue;
      written.set(id, text);
      writes.push({
        op: 'put',
        resource: insightResource(key, { ...spec, lastSync: new Date(clock.now()).toISOString() }),
      });
    }
    if (writes.length > 0) await store.transact(writes);
  }

  async function counts(mesh: string): Promise<ReadonlyMap<string, number>> {
    return new Map([...(await store.count(mesh))].filter(([type]) => options.countedTypes.has(type)));
  }

  const unsubscribe = snapshots.subscribe((update) => touch(update.mesh));
  for (const mesh of snapshots.snapshots().keys()) touch(mesh);
  try {
    const types = ['DataplaneInsight'];
    await followStore({ store, clock, log, signal, types, what: 'dataplane insights' }, (batch) => {
      for (const change of batch) {
        if (change.op === 'synced') continue;
        const { mesh, name } = change.op === 'delete' ? change.key : change.resource.meta;
        let ofMesh = insights.get(mesh);
        if (ofMesh === undefined) {
          ofMesh = new Map();
          insights.set(mesh, ofMesh);
        }
        if (change.op === 'delete') ofMesh.delete(name);
        else ofMesh.set(name, viewOf(change.resource.spec));
        touch(mesh);
      }
    });
  } finally {
    unsubscribe();
    timer?.cancel();
  }
}

/** Keeps only what the aggregates need, so that the rest of an insight is not held in memory twice. */
function viewOf(spec: unknown): InsightView {
  const { subscriptions = [], mTLS } = spec as InsightView;
  const last = subscriptions.at(-1);
  return {
    subscriptions:
      last === undefined
        ? []
        : [{ connectTime: last.connectTime, disconnectTime: last.disconnectTime, version: last.version }],
    mTLS: mTLS && { issuedBackend: mTLS.issuedBackend, supportedBackends: mTLS.supportedBackends },
  };
}

function insightResource(key: ResourceKey, spec: Record<string, unknown>): Resource {
  return {
    type: key.type,
    meta: { mesh: key.mesh, name: key.name, labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec,
  };
}
