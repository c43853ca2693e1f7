/**
 * What the control plane and the process of a plug-in say to each other: JSON, one message a line, over a socket that is the process's file descriptor 3.
 * Both ends are of the same version of Weft; what plug-ins see is the SDK.
 */
import { z } from 'zod';
import { parseJsonText } from '../../lib/json-text.ts';

/** File descriptor of the socket in the plug-in's process. */
export const CHANNEL_FD = 3;

/** A chain with its anchors is some ten kilobytes. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** What the process is asked. Each is answered once, with the same `id`. */
export type Call =
  /** Import the module; the answer is a `PluginDescriptor`. */
  | { readonly method: 'load'; readonly specifier: string; readonly base: string }
  /** The answer is `ConfViolation`s. */
  | { readonly method: 'validate'; readonly mesh: string; readonly backend: string; readonly conf: unknown }
  | {
      readonly method: 'open';
      readonly session: number;
      readonly mesh: string;
      readonly backend: string;
      readonly conf: unknown;
    }
  | { readonly method: 'anchors'; readonly session: number }
  | { readonly method: 'sign'; readonly session: number; readonly request: unknown }
  | { readonly method: 'close'; readonly session: number }
  /** Is anybody there. */
  | { readonly method: 'ping' };

export type ToProcess =
  | (Call & { readonly id: number })
  /** Nobody waits for the answer to this call any more. */
  | { readonly method: 'cancel'; readonly id: number };

const failure = z.object({
  code: z.string(),
  message: z.string(),
  fix: z.string().optional(),
});
/** A `CaFailure` on the wire. */
export type WireFailure = z.infer<typeof failure>;

const fromProcess = z.union([
  z.object({ id: z.int(), ok: z.unknown() }),
  z.object({ id: z.int(), failure }),
  z.object({ session: z.int(), notice: z.enum(['changed', 'problem']), failure: failure.optional() }),
  z.object({
    log: z.enum(['debug', 'info', 'warn', 'error']),
    message: z.string(),
    mesh: z.string(),
    backend: z.string(),
  }),
]);
export type FromProcess = z.infer<typeof fromProcess>;

/** One line without its end. */
export function formatMessage(message: ToProcess | FromProcess): string {
  return `${JSON.stringify(message)}\n`;
}

/** Throws on whatever is no message; the process is not Weft's own any more then. */
export function readFromProcess(line: Buffer): FromProcess {
  return fromProcess.parse(parseJsonText(line));
}

/** Cuts a stream of bytes into lines of at most `maxBytes`; `overflow` is called when one is longer, and nothing is read from then on. */
export function createLineReader(
  maxBytes: number,
  on: { readonly line: (line: Buffer) => void; readonly overflow: () => void },
): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let held = 0;
  let over = false;
  return (chunk) => {
    let start = 0;
    while (!over && start < chunk.length) {
      const end = chunk.indexOf(0x0a, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      held += part.length;
      if (held > maxBytes) {
        over = true;
        parts = [];
        on.overflow();
        return;
      }
      parts.push(part);
      if (end < 0) return;
      const line = Buffer.concat(parts);
      parts = [];
      held = 0;
      start = end + 1;
      if (line.length > 0) on.line(line);
    }
  };
}
