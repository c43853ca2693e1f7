import type { Clock, Timer } from '../lib/clock.ts';
import { stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import type { BackendMemories, BackendMemory } from './coordinator-memory.ts';

/** Changes of this long are one write: nobody waits for it, and a breaker that goes up and down is no news each time. Milliseconds. */
const FLUSH_MS = 1000;
const RETRY_MS = 10_000;

/** Keeps the memories of backends in the store, beside the work and never before it. */
export interface MemoryWriter {
  /** Reads what is stored, for `take`. */
  load(): Promise<void>;
  /** What was stored for this backend with this `conf`, once; `undefined`: nothing. */
  take(mesh: string, backend: string, conf: string): BackendMemory['memory'] | undefined;
  /** The memory of this backend may be another one. */
  touch(mesh: string, backend: string): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

/** `memoryOf`: what is to be stored now; `undefined`: nothing. */
export function createMemoryWriter(options: {
  records: BackendMemories;
  memoryOf: (mesh: string, backend: string) => BackendMemory | undefined;
  clock: Clock;
  log: Logger;
}): MemoryWriter {
  const { records, clock, log } = options;
  const idOf = (mesh: string, backend: string) => `${mesh}//${backend}`;
  const loaded = new Map<string, BackendMemory>();
  /** What the store has, as text. */
  const stored = new Map<string, string>();
  const touched = new Map<string, { readonly mesh: string; readonly backend: string }>();
  let timer: Timer | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  function arm(delayMs: number): void {
    if (timer !== undefined || writing !== undefined || closed) return;
    timer = clock.after(delayMs, () => {
      timer = undefined;
      void flush();
    });
  }

  async function flush(): Promise<void> {
    if (writing !== undefined) return await writing;
    writing = write().finally(() => {
      writing = undefined;
    });
    await writing;
    if (touched.size > 0) arm(RETRY_MS);
  }

  async function write(): Promise<void> {
    const batch = [...touched];
    touched.clear();
    const saved: BackendMemory[] = [];
    const removed: { readonly mesh: string; readonly backend: string }[] = [];
    for (const [id, { mesh, backend }] of batch) {
      const memory = options.memoryOf(mesh, backend);
      if (memory !== undefined && stableJson(memory) !== stored.get(id)) saved.push(memory);
      if (memory === undefined && stored.has(id)) removed.push({ mesh, backend });
    }
    try {
      if (saved.length > 0) await records.save(saved);
      if (removed.length > 0) await records.remove(removed);
      for (const memory of saved) stored.set(idOf(memory.mesh, memory.backend), stableJson(memory));
      for (const { mesh, backend } of removed) stored.delete(idOf(mesh, backend));
    } catch (error) {
      log.warn('storing what is known of CA backends failed, trying again', { count: batch.length, error });
      for (const [id, key] of batch) touched.set(id, key);
    }
  }

  return {
    async load() {
      for (const memory of await records.load()) {
        const id = idOf(memory.mesh, memory.backend);
        loaded.set(id, memory);
        stored.set(id, stableJson(memory));
      }
    },
    take(mesh, backend, conf) {
      const id = idOf(mesh, backend);
      const memory = loaded.get(id);
      loaded.delete(id);
      if (memory?.conf === conf) return memory.memory;
      if (memory !== undefined) this.touch(mesh, backend);
      return undefined;
    },
    touch(mesh, backend) {
      touched.set(idOf(mesh, backend), { mesh, backend });
      arm(FLUSH_MS);
    },
    async close() {
      closed = true;
      timer?.cancel();
      await writing;
      if (touched.size > 0) await write();
    },
  };
}
