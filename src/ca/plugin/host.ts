import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { CaError, type CaErrorCode } from '../backend.ts';
import { type PluginDescriptor, readDescriptor } from './descriptor.ts';
import { locateModule } from './locate.ts';
import { createNoticeGate } from './notice-gate.ts';
import { createPluginOutput } from './output.ts';
import { type PluginProcess, type PluginProgram, startPluginProcess } from './process.ts';
import { createRedactor } from './redact.ts';
import type { PluginSetting } from './setting.ts';
import type { Call, FromProcess, WireFailure } from './wire.ts';

/** Keeps one plug-in running: starts its process, and again with growing pauses whenever it ends. */
export interface PluginHost {
  /** What the plug-in said of itself when it was loaded last; `undefined`: it never was. */
  readonly descriptor: PluginDescriptor | undefined;
  /** Grows with each process that was loaded: what was opened in a former one is gone. */
  readonly generation: number;
  /** Waits for a process that is being loaded. Rejects as `PluginProcess.call`, and at once with `unavailable` while there is none. */
  call(call: Call, signal: AbortSignal): Promise<unknown>;
  /** Resolves when the plug-in is loaded. Rejects as `call`. */
  ready(signal: AbortSignal): Promise<PluginDescriptor>;
  /** `problem`: the process is gone for this reason; `undefined`: another one is loaded. Returns the unsubscriber. */
  subscribe(listener: (problem: CaError | undefined) => void): () => void;
  /** Notices of one open backend. */
  listen(session: number, listener: (notice: SessionNotice) => void): void;
  forget(session: number): void;
  /** These texts are in no log line and no error from now on. */
  hide(secrets: readonly string[]): void;
  /** A text of the plug-in as it may be shown. */
  clean(text: string): string;
  close(): Promise<void>;
}

export type SessionNotice =
  | { readonly kind: 'changed' }
  | { readonly kind: 'problem'; readonly problem: CaError | undefined };

export interface PluginHostOptions {
  readonly setting: PluginSetting;
  readonly program: PluginProgram;
  readonly workDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Called with each start after the first. */
  readonly restarted: () => void;
  /** Absent: 5 s. */
  readonly heartbeatMs?: number;
}

const HEARTBEAT_MS = 5000;
const LOAD_TIMEOUT_MS = 15_000;
const RESTART = { baseMs: 1000, maxMs: 60_000, jitter: 0.2 };
/** A process that ran so long had no trouble with its start. */
const SETTLED_MS = 60_000;
const MAX_MESSAGE_CHARACTERS = 500;
const MAX_FIX_CHARACTERS = 2000;

export function createPluginHost(options: PluginHostOptions): PluginHost {
  const { setting, clock, log } = options;
  const redactor = createRedactor();
  const output = createPluginOutput({ log, clock, redactor });
  const listeners = new Set<(problem: CaError | undefined) => void>();
  const sessions = new Map<number, ReturnType<typeof createNoticeGate<SessionNotice>>>();
  let running: { readonly process: PluginProcess; readonly loaded: Promise<PluginDescriptor> } | undefined;
  let descriptor: PluginDescriptor | undefined;
  let generation = 0;
  let failures = 0;
  let problem: CaError | undefined;
  let restart: Timer | undefined;
  let closed = false;

  function start(): void {
    restart = undefined;
    const startedAt = clock.monotonic();
    try {
      const located = locateModule(setting.module, options.workDir);
      const process = startPluginProcess({
        ...options,
        located,
        output,
        failed,
        noticed,
        heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      });
      const loaded = load(process, { method: 'load', specifier: located.specifier, base: located.base });
      running = { process, loaded };
      loaded.then(
        (read) => {
          process.watch();
          up(read);
        },
        () => {},
      );
      void process.ended.then((why) => down(why, startedAt));
    } catch (error) {
      down(`it cannot be started: ${error instanceof Error ? error.message : error}`, startedAt);
    }
  }

  async function load(process: PluginProcess, call: Call): Promise<PluginDescriptor> {
    try {
      const read = readDescriptor(await process.call(call, AbortSignal.timeout(LOAD_TIMEOUT_MS)));
      if (read.type === setting.type) return read;
      throw new Error(`its type is "${read.type.slice(0, 63)}", weft.ca.plugins calls it "${setting.type}"`);
    } catch (error) {
      const why = error instanceof Error ? error.message : 'for no reason it says';
      process.kill(`it cannot be loaded: ${why}`);
      throw new CaError('unavailable', `plug-in "${setting.type}" cannot be loaded: ${why}`, { reason: 'PluginDown' });
    }
  }

  function up(read: PluginDescriptor): void {
    descriptor = read;
    generation += 1;
    problem = undefined;
    log.info('a CA plug-in is loaded', { protocol: read.protocol });
    for (const listener of listeners) listener(undefined);
  }

  function down(reason: string, startedAt: number): void {
    running = undefined;
    if (closed) return;
    failures = clock.monotonic() - startedAt >= SETTLED_MS ? 1 : failures + 1;
    const delayMs = Math.round(backoffMs(failures, { ...RESTART, random: options.random() }));
    const why = redactor.clean(reason, MAX_MESSAGE_CHARACTERS);
    const next = `it is started again in ${Math.ceil(delayMs / 1000)} s`;
    problem = new CaError('unavailable', `plug-in "${setting.type}" is not running: ${why}; ${next}`, {
      reason: 'PluginDown',
    });
    log.error('a CA plug-in is not running', { reason: why, restartInMs: delayMs });
    restart = clock.after(delayMs, () => {
      options.restarted();
      start();
    });
    for (const listener of listeners) listener(problem);
  }

  /** What a plug-in threw, as an error of ours. */
  function failed(failure: WireFailure): CaError {
    const code = CODES.find((known) => known === failure.code) ?? 'failed';
    const fix = failure.fix === undefined ? {} : { fix: redactor.hide(failure.fix, MAX_FIX_CHARACTERS) };
    return new CaError(code, redactor.clean(failure.message, MAX_MESSAGE_CHARACTERS), fix);
  }

  function noticed(message: Extract<FromProcess, { session: number }>): void {
    const gate = sessions.get(message.session);
    if (message.notice === 'changed') gate?.take({ kind: 'changed' });
    else gate?.take({ kind: 'problem', problem: message.failure && failed(message.failure) });
  }

  start();
  return {
    get descriptor() {
      return descriptor;
    },
    get generation() {
      return generation;
    },
    async call(call, signal) {
      if (running === undefined) throw problem ?? new CaError('unavailable', `plug-in "${setting.type}" was closed`);
      const { process, loaded } = running;
      await whileWaited(loaded, signal);
      return process.call(call, signal);
    },
    async ready(signal) {
      if (running === undefined) throw problem ?? new CaError('unavailable', `plug-in "${setting.type}" was closed`);
      return whileWaited(running.loaded, signal);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    listen: (session, listener) => void sessions.set(session, createNoticeGate(clock, listener)),
    forget(session) {
      sessions.get(session)?.close();
      sessions.delete(session);
    },
    hide: (secrets) => redactor.add(secrets),
    clean: (text) => redactor.clean(text, MAX_MESSAGE_CHARACTERS),
    async close() {
      closed = true;
      restart?.cancel();
      await running?.process.close();
    },
  };
}

/** The outcome of `promise`, or `timeout` as soon as `signal` aborts. */
async function whileWaited<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: gone, reject } = Promise.withResolvers<never>();
  const cancel = () => reject(new CaError('timeout', 'the plug-in was not loaded in time'));
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await Promise.race([promise, gone]);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** What a plug-in may say of a failure: `CaFailureCode` of the SDK. */
const CODES: readonly CaErrorCode[] = [
  'unavailable',
  'denied',
  'invalid-request',
  'not-configured',
  'throttled',
  'timeout',
  'failed',
];
