/** The other side of `process.ts`: what runs in the process of a plug-in, `bin/ca-plugin`. */

import type { Duplex } from 'node:stream';
import type { BackendContext, CaPlugin, Notice, OpenBackend } from '@weft/ca-backend';
import { confViolations } from './conf-schema.ts';
import { readPlugin } from './descriptor.ts';
import {
  type Call,
  createLineReader,
  type FromProcess,
  formatMessage,
  MAX_MESSAGE_BYTES,
  type ToProcess,
  type WireFailure,
} from './wire.ts';

/** Serves the calls that come over `channel` until it ends. Never throws: what a plug-in throws is an answer. */
export function servePlugin(
  channel: Duplex,
  importModule: (specifier: string, base: string) => Promise<unknown>,
): void {
  const running = new Map<number, AbortController>();
  const sessions = new Map<number, Promise<OpenBackend>>();
  let plugin: CaPlugin<unknown> | undefined;

  function send(message: FromProcess): void {
    channel.write(formatMessage(message));
  }

  async function answer(call: Call & { readonly id: number }): Promise<void> {
    const controller = new AbortController();
    running.set(call.id, controller);
    try {
      const ok = (await perform(call, controller.signal)) ?? null;
      const text = formatMessage({ id: call.id, ok });
      if (text.length > MAX_MESSAGE_BYTES)
        throw new Error(`the plug-in answered ${text.length} bytes, which is too much`);
      channel.write(text);
    } catch (error) {
      send({ id: call.id, failure: failureOf(error) });
    } finally {
      running.delete(call.id);
    }
  }

  async function perform(call: Call, signal: AbortSignal): Promise<unknown> {
    switch (call.method) {
      case 'ping':
        return true;
      case 'load': {
        const module = Object(await importModule(call.specifier, call.base)) as { readonly default?: unknown };
        const read = readPlugin(module.default);
        plugin = read.plugin;
        return read.described;
      }
      case 'validate': {
        const violations = confViolations(loaded().confSchema, call.conf);
        if (violations.length > 0) return violations;
        return (await loaded().validate?.(call.conf, contextOf(call.mesh, call.backend))) ?? [];
      }
      case 'open': {
        const opening = open(call.session, call.conf, contextOf(call.mesh, call.backend));
        sessions.set(call.session, opening);
        await opening;
        return true;
      }
      case 'anchors':
        return (await session(call.session)).trustAnchors(signal);
      case 'sign':
        // Read by `kind.ts` out of a request of the control plane.
        return (await session(call.session)).sign(call.request as Parameters<OpenBackend['sign']>[0], signal);
      case 'close': {
        const opened = sessions.get(call.session);
        sessions.delete(call.session);
        return (await opened)?.close?.();
      }
      default:
        return call satisfies never;
    }
  }

  function loaded(): CaPlugin<unknown> {
    if (plugin === undefined) throw new Error('the plug-in is not loaded yet');
    return plugin;
  }

  async function open(id: number, conf: unknown, context: BackendContext): Promise<OpenBackend> {
    const opened = await loaded().open(conf, context);
    if (typeof opened?.trustAnchors !== 'function' || typeof opened.sign !== 'function') {
      throw new Error('open has to answer an object with the functions trustAnchors and sign');
    }
    opened.notices?.((notice: Notice) => {
      const failure = notice.kind === 'problem' && notice.problem !== undefined ? failureOf(notice.problem) : undefined;
      send({ session: id, notice: notice.kind, ...(failure && { failure }) });
    });
    return opened;
  }

  function session(id: number): Promise<OpenBackend> {
    const opened = sessions.get(id);
    if (opened === undefined) throw new Error('this backend is not open');
    return opened;
  }

  function contextOf(mesh: string, backend: string): BackendContext {
    const at = (log: 'debug' | 'info' | 'warn' | 'error') => (message: string) =>
      send({ log, message: `${message}`.slice(0, MAX_LOG_CHARACTERS), mesh, backend });
    return { mesh, backend, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
  }

  const read = createLineReader(Number.POSITIVE_INFINITY, {
    line(line) {
      // The control plane wrote it.
      const message = JSON.parse(line.toString()) as ToProcess;
      if (message.method === 'cancel') running.get(message.id)?.abort();
      else void answer(message);
    },
    overflow() {},
  });
  channel.on('data', read);
}

const MAX_LOG_CHARACTERS = 16_384;
const MAX_TEXT_CHARACTERS = 10_000;

/** Whatever was thrown, as texts. */
function failureOf(error: unknown): WireFailure {
  try {
    const { code, message, fix } = Object(error) as Record<string, unknown>;
    return {
      code: typeof code === 'string' ? code.slice(0, 50) : 'failed',
      message: (typeof message === 'string' && message !== '' ? message : String(error)).slice(0, MAX_TEXT_CHARACTERS),
      ...(typeof fix === 'string' ? { fix: fix.slice(0, MAX_TEXT_CHARACTERS) } : {}),
    };
  } catch {
    return { code: 'failed', message: 'it threw something that has no text' };
  }
}
