import type { CaBackendKind } from '../ca/backend.ts';
import type { Clock } from '../lib/clock.ts';
import { contentHash, stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { MtlsBackend } from '../resources/kinds/mesh.ts';
import { type Coordinator, type CoordinatorOptions, createCoordinator } from './coordinator.ts';
import type { BackendMemories } from './coordinator-memory.ts';
import { limitsOf } from './limits.ts';
import { createMemoryWriter } from './memory-writer.ts';

/** The coordinators of all backends of all meshes, with their limits, and what is remembered of them. */
export interface Coordinators {
  of(mesh: string, backend: string): Coordinator;
  find(mesh: string, backend: string): Coordinator | undefined;
  all(): Iterable<BackendCoordinator>;
  /** The backends of this mesh, as the Mesh has them now; empty: mTLS is off. */
  configure(mesh: string, backends: readonly MtlsBackend[]): void;
  /** Reads what was remembered; to be awaited before `configure`. */
  load(): Promise<void>;
  close(): Promise<void>;
}

export interface BackendCoordinator {
  readonly mesh: string;
  readonly backend: string;
  readonly coordinator: Coordinator;
}

interface Configured extends BackendCoordinator {
  /** Hash of type and conf; `undefined`: the Mesh was not seen yet. */
  conf: string | undefined;
}

/** The parts of a coordinator that its owner brings. */
export type BackendWork<T> = Pick<
  CoordinatorOptions<T>,
  'isReady' | 'obtain' | 'issued' | 'failed' | 'throttled' | 'again' | 'waited'
>;

export function createCoordinators<T>(options: {
  kinds: readonly CaBackendKind[];
  memories: BackendMemories;
  clock: Clock;
  random: () => number;
  log: Logger;
  work: (mesh: string, backend: string) => BackendWork<T>;
}): Coordinators {
  const { kinds, clock, random, log } = options;
  const coordinators = new Map<string, Configured>();
  const idOf = (mesh: string, backend: string) => `${mesh}//${backend}`;
  const writer = createMemoryWriter({ records: options.memories, memoryOf, clock, log });

  function memoryOf(mesh: string, backend: string) {
    const one = coordinators.get(idOf(mesh, backend));
    const memory = one?.coordinator.memory();
    return one?.conf === undefined || memory === undefined ? undefined : { mesh, backend, conf: one.conf, memory };
  }

  function of(mesh: string, backend: string): Configured {
    const id = idOf(mesh, backend);
    let one = coordinators.get(id);
    if (one === undefined) {
      const coordinator = createCoordinator<T>({
        ...options.work(mesh, backend),
        mesh,
        backend,
        clock,
        random,
        changed: () => writer.touch(mesh, backend),
      });
      one = { mesh, backend, coordinator, conf: undefined };
      coordinators.set(id, one);
    }
    return one;
  }

  return {
    of: (mesh, backend) => of(mesh, backend).coordinator,
    find: (mesh, backend) => coordinators.get(idOf(mesh, backend))?.coordinator,
    all: () => coordinators.values(),
    configure(mesh, backends) {
      for (const [id, one] of coordinators) {
        if (one.mesh !== mesh || backends.some(({ name }) => name === one.backend)) continue;
        one.coordinator.close();
        coordinators.delete(id);
        writer.touch(mesh, one.backend);
      }
      for (const backend of backends) {
        const one = of(mesh, backend.name);
        const { local = false } = kinds.find(({ type }) => type === backend.type) ?? {};
        one.coordinator.limit({ ...limitsOf(backend, kinds), ramp: !local });
        const conf = contentHash(stableJson([backend.type, backend.conf ?? {}]));
        const memory = one.conf === undefined ? writer.take(mesh, backend.name, conf) : undefined;
        one.conf = conf;
        if (memory !== undefined) one.coordinator.restore(memory);
      }
    },
    load: () => writer.load(),
    async close() {
      for (const { coordinator } of coordinators.values()) coordinator.close();
      await writer.close();
    },
  };
}
