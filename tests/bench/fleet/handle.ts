import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cpuSeconds } from '../process-use.ts';
import type { Command, Condition, FleetProxy, Reply, Totals } from './commands.ts';
import type { Protocol } from './messages.ts';

export interface FleetTarget {
  readonly proxy: (index: number) => FleetProxy;
  readonly url: string;
  readonly protocol: Protocol;
  readonly alwaysNode: boolean;
}

/** The fleet process, seen from the benchmark. Failures of commands reject. */
export interface Fleet {
  /** Starts proxies `from` to `to - 1`; resolves when they are dialling. */
  start(from: number, to: number): Promise<void>;
  /** Monotonic ms at which each of the proxies (all when absent) got there. Rejects when some did not in time. */
  reach(condition: Condition, proxies?: readonly number[], timeoutMs?: number): Promise<readonly number[]>;
  reset(): Promise<void>;
  totals(): Promise<Totals>;
  serials(): Promise<readonly string[]>;
  /** CPU seconds that the fleet itself has used. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export function createFleet(target: FleetTarget): Fleet {
  const child = fork(fileURLToPath(new URL('./main.ts', import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  let last = 0;
  child.on('message', ({ id, reply }: { id: number; reply: Reply }) => {
    waiting.get(id)?.(reply);
    waiting.delete(id);
  });
  child.on('exit', () => {
    for (const answer of waiting.values()) answer({ kind: 'failed', reason: 'the fleet process ended' });
  });

  async function ask<Kind extends Reply['kind']>(
    command: Command,
    kind: Kind,
  ): Promise<Extract<Reply, { kind: Kind }>> {
    const reply = await new Promise<Reply>((resolve) => {
      last++;
      waiting.set(last, resolve);
      child.send({ id: last, command });
    });
    if (reply.kind !== kind)
      throw new Error(`fleet ${command.kind}: ${reply.kind === 'failed' ? reply.reason : reply.kind}`);
    // Narrowed by the line above, which the type checker does not follow for a generic kind.
    return reply as Extract<Reply, { kind: Kind }>;
  }

  return {
    async start(from, to) {
      const { proxy, ...rest } = target;
      const proxies = Array.from({ length: to - from }, (_, nth) => proxy(from + nth));
      await ask({ kind: 'start', ...rest, proxies }, 'done');
    },
    async reach(condition, proxies, timeoutMs = 300_000) {
      const { times, missing, example } = await ask(
        { kind: 'await', condition, ...(proxies ? { proxies } : {}), timeoutMs },
        'times',
      );
      if (missing > 0)
        throw new Error(
          `wait for ${condition.kind}: ${missing} proxies did not get there in ${timeoutMs} ms, such as ${example}`,
        );
      return times;
    },
    async reset() {
      await ask({ kind: 'reset' }, 'done');
    },
    totals: async () => (await ask({ kind: 'totals' }, 'totals')).totals,
    serials: async () => (await ask({ kind: 'serials' }, 'serials')).serials,
    cpuSeconds: () => cpuSeconds(child.pid!),
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, 'exit');
      await ask({ kind: 'stop' }, 'done').catch(() => undefined);
      await gone;
    },
  };
}
