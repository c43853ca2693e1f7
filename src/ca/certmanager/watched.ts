import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import { createListWatch } from '../../k8s/api/create-list-watch.ts';
import type { ListWatch, ListWatchEvent } from '../../k8s/api/list-watch.ts';
import type { KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';

/** A collection that may not exist yet, or that this program may not see: tried again until it can be watched. */
export interface Watched<T extends KubeObject> {
  /** Resolves when the collection was listed, or when it is known why it can't be. */
  readonly settled: Promise<void>;
  /** Why it is not watched; `undefined` when it is, or before the first answer. */
  readonly problem: KubeError | undefined;
  /** `undefined` while it is not watched. */
  readonly watch: ListWatch<T> | undefined;
  close(): Promise<void>;
}

/** Until an administrator installs or allows something. */
const REFUSED_MS = 5000;
const AWAY_MS = 1000;

/** `changed`: after each event, and when `problem` is another one. */
export function watchWhenAllowed<T extends KubeObject>(options: {
  client: KubeClient;
  type: ResourceType;
  namespace?: string;
  labelSelector?: string;
  clock: Clock;
  log: Logger;
  changed: (event: ListWatchEvent<T> | undefined) => void;
}): Watched<T> {
  const { client, type, clock, log } = options;
  const selection = {
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
  };
  const closing = new AbortController();
  const settled = Promise.withResolvers<void>();
  let watch: ListWatch<T> | undefined;
  let problem: KubeError | undefined;

  async function tryToList(): Promise<KubeError | undefined> {
    try {
      await client.list(type, { ...selection, limit: 1, signal: closing.signal });
      return undefined;
    } catch (error) {
      return error instanceof KubeError ? error : new KubeError('unavailable', String(error), { cause: error });
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      const refused = await tryToList();
      if (closing.signal.aborted) return;
      if (refused === undefined) break;
      const isNews = problem?.code !== refused.code;
      problem = refused;
      if (isNews) {
        log.debug('a collection cannot be watched yet', { kind: type.kind, error: refused.message });
        options.changed(undefined);
      }
      settled.resolve();
      await sleep(clock, refused.code === 'unavailable' ? AWAY_MS : REFUSED_MS, closing.signal);
      if (closing.signal.aborted) return;
    }
    const opened = createListWatch<T>({
      client,
      type,
      ...selection,
      clock,
      random: Math.random,
      log,
      signal: closing.signal,
    });
    await opened.synced;
    if (closing.signal.aborted) return;
    watch = opened;
    problem = undefined;
    opened.subscribe(options.changed);
    options.changed(undefined);
    settled.resolve();
  }

  const running = run();
  return {
    settled: settled.promise,
    get problem() {
      return problem;
    },
    get watch() {
      return watch;
    },
    async close() {
      closing.abort();
      settled.resolve();
      await running;
      await watch?.close();
    },
  };
}
