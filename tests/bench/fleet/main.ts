/** The process that plays many Envoys; started by `handle.ts`, spoken to over Node's IPC. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command, Condition, Reply, Totals } from './commands.ts';
import { createEnvoy, monotonicMs, type SimulatedEnvoy } from './envoy.ts';
import { TYPE_NAMES } from './messages.ts';
import { createReferenceReader } from './references.ts';

const envoys: SimulatedEnvoy[] = [];
const references = createReferenceReader();

async function run(command: Command): Promise<Reply> {
  switch (command.kind) {
    case 'start':
      for (const [index, proxy] of command.proxies.entries()) {
        const { url, protocol, alwaysNode } = command;
        envoys.push(createEnvoy({ ...proxy, url, protocol, alwaysNode, references }));
        // Sockets are opened in small batches, so that the fleet itself stays able to answer.
        if (index % 25 === 24) await sleep(0);
      }
      return { kind: 'done' };
    case 'await':
      return await wait(command.condition, command.proxies, command.timeoutMs);
    case 'reset':
      for (const envoy of envoys) envoy.reset();
      return { kind: 'done' };
    case 'totals':
      return { kind: 'totals', totals: totals() };
    case 'serials':
      return { kind: 'serials', serials: envoys.map((envoy) => envoy.serial) };
    case 'stop':
      for (const envoy of envoys) envoy.close();
      setTimeout(() => process.exit(0), 100);
      return { kind: 'done' };
    default:
      return command satisfies never;
  }
}

async function wait(condition: Condition, proxies: readonly number[] | undefined, timeoutMs: number): Promise<Reply> {
  const deadline = monotonicMs() + timeoutMs;
  const chosen = proxies ? proxies.map((index) => envoys[index]!) : envoys;
  for (;;) {
    const missing = chosen.filter((envoy) => timeOf(envoy, condition) === undefined);
    if (missing.length === 0 || monotonicMs() > deadline) {
      const times = chosen.map((envoy) => timeOf(envoy, condition)).filter((time) => time !== undefined);
      return {
        kind: 'times',
        times: times.sort((a, b) => a - b),
        missing: missing.length,
        example:
          missing.length > 0
            ? `${missing[0]!.name}: ${missing[0]!.lastError || 'connected'} ${JSON.stringify(missing[0]!.counts)}`
            : '',
      };
    }
    await sleep(10);
  }
}

function timeOf(envoy: SimulatedEnvoy, condition: Condition): number | undefined {
  const after = (time: number) => (time > condition.since ? time : undefined);
  switch (condition.kind) {
    case 'configured':
      return after(envoy.configuredAt);
    case 'leaf':
      return after(envoy.leafAt);
    case 'endpoint':
      return after(envoy.endpointAt);
    case 'marker':
      return after(envoy.markers.get(condition.marker) ?? 0);
    default:
      return condition satisfies never;
  }
}

function totals(): Totals {
  const sum = (of: (envoy: SimulatedEnvoy) => number) => envoys.reduce((total, envoy) => total + of(envoy), 0);
  const perType = (of: 'responses' | 'resources') =>
    Object.fromEntries(TYPE_NAMES.map((type) => [type, sum((envoy) => envoy.counts[of][type])])) as Totals['responses'];
  return {
    envoys: envoys.length,
    connected: envoys.filter((envoy) => envoy.connected).length,
    reconnects: sum((envoy) => envoy.reconnects),
    responses: perType('responses'),
    resources: perType('resources'),
    bytes: sum((envoy) => envoy.counts.bytes),
    requests: sum((envoy) => envoy.counts.requests),
  };
}

process.on('message', ({ id, command }: { id: number; command: Command }) => {
  run(command).then(
    (reply) => process.send!({ id, reply }),
    (error: unknown) => process.send!({ id, reply: { kind: 'failed', reason: String(error) } satisfies Reply }),
  );
});
process.on('disconnect', () => process.exit(1));
