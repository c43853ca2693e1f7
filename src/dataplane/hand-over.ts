import { fs, url } from './node.ts';
import type { PreparedDataplane } from './prepare.ts';

/** Environment variable that carries a `PreparedDataplane` to `bin/dataplane`. */
const CARRIER = 'WEFT_PREPARED_DATAPLANE';
/** Linux takes no environment string over 128 KiB (`MAX_ARG_STRLEN`). */
const MAX_CARRIED_BYTES = 120_000;

/**
 * Turns this process into `bin/dataplane`, which supervises Envoy and never loads flags and the rest of the command line, and TLS only
 * where it makes keys: 10 MB less beside every proxy, for 40 ms once. Same process id, same parent. Does not return when it works; returns when this
 * Node, this platform or this size of bootstrap does not allow it, and then the caller supervises itself.
 */
export function handOver(prepared: PreparedDataplane): void {
  const state = JSON.stringify(prepared);
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const script = url.fileURLToPath(new URL(`../bin/dataplane.${suffix}`, import.meta.url));
  if (typeof process.execve !== 'function' || Buffer.byteLength(state) > MAX_CARRIED_BYTES || !fs.existsSync(script))
    return;
  const env: Record<string, string> = { [CARRIER]: state };
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  process.execve(process.execPath, [process.execPath, script], env);
}

/** What `handOver` sent to this process, removed from `env` so that Envoy does not inherit it; `undefined`: nothing was sent. */
export function receiveHandOver(env: Record<string, string | undefined>): PreparedDataplane | undefined {
  const state = env[CARRIER];
  delete env[CARRIER];
  // Written by `handOver` of this same version a moment ago, so its shape is known.
  return state === undefined ? undefined : (JSON.parse(state) as PreparedDataplane);
}
