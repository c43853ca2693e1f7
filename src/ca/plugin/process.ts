import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../lib/clock.ts';
import { CaError } from '../backend.ts';
import type { LocatedModule } from './locate.ts';
import type { PluginOutput } from './output.ts';
import type { PluginSetting } from './setting.ts';
import {
  type Call,
  createLineReader,
  type FromProcess,
  formatMessage,
  MAX_MESSAGE_BYTES,
  readFromProcess,
  type ToProcess,
  type WireFailure,
} from './wire.ts';

/** `bin/ca-plugin` of this program, and what Node has to read to run it. */
export interface PluginProgram {
  readonly script: string;
  readonly readable: readonly string[];
}

/** One running process of a plug-in. It ends once; `host.ts` starts the next one. */
export interface PluginProcess {
  /**
   * One call, one answer. Rejects with what `failed` makes of the plug-in's failure, with `CaError` `unavailable` when the process ends before, and `timeout` as
   * soon as `signal` aborts; nobody waits for a plug-in that goes on.
   */
  call(call: Call, signal: AbortSignal): Promise<unknown>;
  /** Resolves with the reason when the process is gone. */
  readonly ended: Promise<string>;
  kill(reason: string): void;
  /** From now on it has to answer pings. */
  watch(): void;
  /** Lets it end by itself, for a second at most. */
  close(): Promise<void>;
}

export interface PluginProcessOptions {
  readonly setting: PluginSetting;
  readonly program: PluginProgram;
  readonly located: LocatedModule;
  /** Of the control plane. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly output: PluginOutput;
  readonly failed: (failure: WireFailure) => CaError;
  readonly noticed: (notice: Extract<FromProcess, { session: number }>) => void;
  /** A process that answers nothing for two of these is hung. */
  readonly heartbeatMs: number;
}

/** What honest answers need is a tenth of it. */
const CHANNEL_BYTES_PER_SECOND = 4 * 1024 * 1024;
const CHANNEL_MESSAGES_PER_SECOND = 5000;
const MAX_PENDING = 1000;
const MEMORY_CHECK_MS = 500;
const CLOSE_GRACE_MS = 1000;
/** Node itself, its code and the buffers beside the heap. */
const MEMORY_BESIDE_HEAP_MB = 256;

export function startPluginProcess(options: PluginProcessOptions): PluginProcess {
  const { setting, clock, output } = options;
  const child = spawn(process.execPath, [...flags(options), options.program.script], {
    cwd: '/',
    env: chosenEnv(setting, options.env),
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: CaError): void }>();
  const ended = Promise.withResolvers<string>();
  let lastId = 0;
  let killedFor: string | undefined;
  let over = false;
  let heart: Timer | undefined;
  let memory: Timer | undefined;
  /** Beats since a ping that was not answered. */
  let unanswered = 0;
  let traffic = { since: clock.monotonic(), bytes: 0, messages: 0 };

  putLast(child.pid);
  child.once('error', (error) => end(`it cannot be started: ${error.message}`));
  child.once('exit', (code, signal) =>
    end(killedFor ?? (signal ? `killed by ${signal}` : `it ended with exit code ${code}`)),
  );
  output.follow(child.stdout!, 'info');
  output.follow(child.stderr!, 'warn');
  // The fourth of `stdio` above: a socket, both ways.
  const channel = child.stdio[3] as Duplex;
  channel.on('error', () => {});
  const read = createLineReader(MAX_MESSAGE_BYTES, {
    line: receive,
    overflow: () => kill('it sent a message that is too large'),
  });
  channel.on('data', (chunk: Buffer) => {
    count({ bytes: chunk.length });
    if (killedFor === undefined) read(chunk);
  });

  /** Counts what comes before it is looked at. */
  function count(arrived: { readonly bytes?: number; readonly messages?: number }): void {
    const now = clock.monotonic();
    if (now - traffic.since >= 1000) traffic = { since: now, bytes: 0, messages: 0 };
    traffic.bytes += arrived.bytes ?? 0;
    traffic.messages += arrived.messages ?? 0;
    if (traffic.bytes > CHANNEL_BYTES_PER_SECOND || traffic.messages > CHANNEL_MESSAGES_PER_SECOND)
      kill('it floods the control plane with messages');
  }

  function receive(line: Buffer): void {
    count({ messages: 1 });
    if (killedFor !== undefined) return;
    let message: FromProcess;
    try {
      message = readFromProcess(line);
    } catch {
      kill('it sent something that is no message');
      return;
    }
    if ('log' in message) {
      output.line(message.log, message.message, {
        mesh: message.mesh.slice(0, 253),
        backend: message.backend.slice(0, 253),
      });
    } else if ('notice' in message) {
      options.noticed(message);
    } else {
      // A second answer finds nobody who waits.
      const waiting = pending.get(message.id);
      pending.delete(message.id);
      if ('failure' in message) waiting?.reject(options.failed(message.failure));
      else waiting?.resolve(message.ok);
    }
  }

  /** Asks whether it is there, at each beat. */
  function beat(): void {
    heart = clock.after(options.heartbeatMs, beat);
    if (unanswered > 0) {
      unanswered += 1;
      if (unanswered > 2) kill('it does not answer: it is busy or hung');
      return;
    }
    unanswered = 1;
    call({ method: 'ping' }, new AbortController().signal).then(
      () => {
        unanswered = 0;
      },
      () => {},
    );
  }

  /** While it works. */
  function watchMemory(): void {
    memory ??= clock.after(MEMORY_CHECK_MS, () => {
      memory = undefined;
      void checkMemory(child, setting.memoryMb, kill);
      if (pending.size > 0) watchMemory();
    });
  }

  function send(message: ToProcess): void {
    if (!over) channel.write(formatMessage(message));
  }

  async function call(asked: Call, signal: AbortSignal): Promise<unknown> {
    if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
    if (over) throw gone(killedFor ?? 'it has ended');
    if (pending.size >= MAX_PENDING) throw new CaError('unavailable', `plug-in "${setting.type}" has too much to do`);
    lastId += 1;
    const id = lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const cancel = () => {
      pending.delete(id);
      send({ method: 'cancel', id });
      reject(new CaError('timeout', `plug-in "${setting.type}" did not answer in time`));
    };
    pending.set(id, { resolve, reject });
    signal.addEventListener('abort', cancel, { once: true });
    send({ ...asked, id });
    watchMemory();
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  function gone(why: string): CaError {
    return new CaError('unavailable', `plug-in "${setting.type}" is not running: ${why}`, { reason: 'PluginDown' });
  }

  function kill(why: string): void {
    if (killedFor !== undefined || over) return;
    killedFor = why;
    child.kill('SIGKILL');
  }

  function end(why: string): void {
    if (over) return;
    over = true;
    heart?.cancel();
    memory?.cancel();
    for (const { reject } of pending.values()) reject(gone(why));
    pending.clear();
    channel.destroy();
    ended.resolve(why);
  }

  return {
    call,
    ended: ended.promise,
    kill,
    watch() {
      heart ??= clock.after(options.heartbeatMs, beat);
    },
    async close() {
      if (over) return;
      channel.end();
      const late = clock.after(CLOSE_GRACE_MS, () => kill('it did not end when it was asked to'));
      await ended.promise;
      late.cancel();
    },
  };
}

/** Node's permission model: it reads its own package, writes nothing and starts nothing, unless the setting allows it. */
function flags({ setting, program, located }: PluginProcessOptions): string[] {
  const readable = [
    ...program.readable,
    dirname(program.script),
    ...located.readable,
    ...setting.read.map((path) => resolve(path)),
  ];
  return [
    '--permission',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    ...(setting.allow.includes('addons') ? ['--allow-addons'] : []),
    ...(setting.allow.includes('child-processes') ? ['--allow-child-process'] : []),
    // Later versions of Node restrict the network too, under the same flag.
    ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
    '--disable-warning=ExperimentalWarning',
    `--max-old-space-size=${setting.memoryMb}`,
  ];
}

function chosenEnv(setting: PluginSetting, env: PluginProcessOptions['env']): Record<string, string> {
  const chosen: Record<string, string> = {};
  for (const name of setting.env) if (env[name] !== undefined) chosen[name] = env[name];
  return chosen;
}

/** The machine's other work goes first, and when memory runs out the kernel (of Linux) ends this process before others. */
function putLast(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, 5);
  } catch {
    // It ended already.
  }
  writeFile(`/proc/${pid}/oom_score_adj`, '1000').catch(() => {});
}

/** What is outside of the heap, such as buffers, has no limit of Node's. Linux only; elsewhere the heap's limit is all there is. */
async function checkMemory(child: ChildProcess, memoryMb: number, kill: (why: string) => void): Promise<void> {
  try {
    const status = await readFile(`/proc/${child.pid}/status`, 'latin1');
    const residentMb = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
    const limitMb = memoryMb + MEMORY_BESIDE_HEAP_MB;
    if (residentMb > limitMb) kill(`it needs ${Math.round(residentMb)} MB, ${limitMb} MB is its limit`);
  } catch {
    // No /proc here, or the process ended meanwhile.
  }
}
