import type { Clock, Timer } from '../../lib/clock.ts';
import { stableJson } from '../../lib/hash.ts';
import type { Logger } from '../../lib/log.ts';
import { aborted } from '../../lib/wait.ts';
import { type KubeClient, KubeError } from '../api/client.ts';
import type { EventRecorder } from '../api/events.ts';
import { KUMA_GROUP, KUMA_VERSION } from '../api/kind-type.ts';
import { apiVersionOf, type Condition, type KubeObject, type ResourceType } from '../api/object.ts';

/** One CA backend of a mesh as `identity/` knows it. */
export interface MeshBackendState {
  readonly name: string;
  readonly type: string;
  /** It is the one that issues. */
  readonly enabled: boolean;
  readonly state: 'Starting' | 'Ready' | 'Failing';
  readonly reason: string;
  readonly message: string;
  readonly fix?: string;
  /** Epoch ms. */
  readonly since: number;
  readonly roots: readonly {
    readonly subject: string;
    readonly fingerprint: string;
    /** Epoch ms. */
    readonly notBefore: number;
    readonly notAfter: number;
    readonly current: boolean;
  }[];
}

export interface MeshStatusOptions {
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  /** Names of the meshes there are. */
  readonly meshes: () => Iterable<string>;
  /** Empty when mTLS is off. */
  readonly backends: (mesh: string) => readonly MeshBackendState[];
  /** How far a change of the CA is, as JSON; `undefined`: there is none. */
  readonly rotation: (mesh: string) => object | undefined;
  /** Calls `changed` with the mesh whose backends are in another state. Returns the unsubscriber. */
  readonly subscribe: (changed: (mesh: string) => void) => () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const MESH: ResourceType = {
  group: KUMA_GROUP,
  version: KUMA_VERSION,
  plural: 'meshes',
  kind: 'Mesh',
  namespaced: false,
};
const FIELD_MANAGER = 'weft-mesh-status';
/** States that follow each other within this time are one write. Milliseconds. */
const DEBOUNCE_MS = 500;
const RETRY_MS = 5000;

interface MeshWithStatus extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/**
 * Keeps `status` of every Mesh object in step with its CA backends, and tells what happened in Events on it. Only the leader runs it. The status is no part of what
 * proxies are made of: writing it pushes nothing. Resolves when `signal` has aborted.
 */
export async function runMeshStatus(options: MeshStatusOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, log } = options;
  const timers = new Map<string, Timer>();
  const written = new Map<string, string>();
  const told = new Map<string, string>();
  const writing = new Set<Promise<void>>();

  function plan(mesh: string, delayMs = DEBOUNCE_MS): void {
    if (signal.aborted || timers.has(mesh)) return;
    const run = () => {
      timers.delete(mesh);
      const one = write(mesh);
      writing.add(one);
      void one.finally(() => writing.delete(one));
    };
    timers.set(mesh, clock.after(delayMs, run));
  }

  async function write(mesh: string): Promise<void> {
    const backends = options.backends(mesh);
    const rotation = options.rotation(mesh) ?? null;
    const content = stableJson([backends, rotation]);
    if (written.get(mesh) === content) return;
    try {
      const object = await client.get<MeshWithStatus>(MESH, { name: mesh }, { signal });
      const status = {
        conditions: [readyCondition(backends, object, clock.now())],
        // A merge patch takes away what is null.
        mtls: { backends: backends.map(backendStatus), rotation },
      };
      await client.patch(
        MESH,
        { name: mesh },
        { status },
        { as: 'merge', subresource: 'status', fieldManager: FIELD_MANAGER, signal },
      );
      written.set(mesh, content);
      for (const backend of backends) tell(object, backend);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof KubeError && error.code === 'not-found') {
        written.delete(mesh);
        return;
      }
      log.warn('writing the status of a Mesh failed, trying again', { mesh, error });
      plan(mesh, RETRY_MS);
    }
  }

  /** An Event when a backend begins to fail, with the remedy, and when it is well again. */
  function tell(object: KubeObject, backend: MeshBackendState): void {
    const key = `${object.metadata.name}/${backend.name}`;
    const before = told.get(key);
    const now = `${backend.state}/${backend.reason}`;
    told.set(key, now);
    if (before === now || backend.state === 'Starting') return;
    if (backend.state === 'Ready' && !before?.startsWith('Failing')) return;
    const { name, uid } = object.metadata;
    const about = { apiVersion: apiVersionOf(MESH), kind: MESH.kind, name, ...(uid === undefined ? {} : { uid }) };
    if (backend.state === 'Failing') options.recorder.event(about, 'Warning', backend.reason, backend.message);
    else options.recorder.event(about, 'Normal', 'BackendReady', `backend "${backend.name}" issues certificates again`);
  }

  const unsubscribe = options.subscribe((mesh) => plan(mesh));
  for (const mesh of options.meshes()) plan(mesh);
  await aborted(signal);
  unsubscribe();
  for (const timer of timers.values()) timer.cancel();
  await Promise.allSettled(writing);
}

/** Ready is what the backend that issues is. */
function readyCondition(backends: readonly MeshBackendState[], object: MeshWithStatus, now: number): Condition {
  const issuing = backends.find(({ enabled }) => enabled);
  const next =
    issuing === undefined
      ? { status: 'True' as const, reason: 'MtlsOff', message: 'mTLS is off' }
      : {
          status: issuing.state === 'Ready' ? ('True' as const) : ('False' as const),
          reason: issuing.reason,
          message: issuing.message,
        };
  const before = object.status?.conditions?.find(({ type }) => type === 'Ready');
  const since = before?.status === next.status ? before.lastTransitionTime : undefined;
  const { generation } = object.metadata;
  return {
    type: 'Ready',
    ...next,
    lastTransitionTime: since ?? secondsText(now),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}

/** How busy a backend is changes all the time and is no status. */
function backendStatus({ name, type, enabled, state, reason, message, fix, since, roots }: MeshBackendState): object {
  return {
    name,
    type,
    enabled,
    state,
    reason,
    message,
    ...(fix === undefined ? {} : { fix }),
    since: secondsText(since),
    roots: roots.map((root) => ({
      ...root,
      notBefore: secondsText(root.notBefore),
      notAfter: secondsText(root.notAfter),
    })),
  };
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
function secondsText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '');
}
