import { codeOf, DataplaneError, messageOf } from './error.ts';
import { childProcess } from './node.ts';

/** Oldest Envoy the generated configuration is made for: 1.<this>. */
const OLDEST_MINOR = 30;

export interface EnvoyBinary {
  readonly path: string;
  /** `1.40.0`. */
  readonly version: string;
  /** The five parts: revision, version, status, type, TLS library, joined by `/`. */
  readonly build: string;
}

/** True for the Envoy releases the generated configuration is made for. */
export function isSupportedEnvoy(version: string): boolean {
  const match = /^1\.(\d+)\.\d+/.exec(version);
  return match !== null && Number(match[1]) >= OLDEST_MINOR;
}

/**
 * Version out of the answer to `envoy --version`; `undefined` unless it has five parts (revision, version, status, type, TLS
 * library). Source: Kuma 2.11 `GetEnvoyVersion`.
 */
export function parseEnvoyVersion(output: string): { version: string; build: string } | undefined {
  const build = /version:[ \t]*(\S+)/.exec(output)?.[1];
  const parts = build?.split('/');
  if (!build || parts?.length !== 5) return undefined;
  return { version: parts[1]!, build };
}

/** Runs `<path> --version`. Throws `envoy_unusable` with the reason. */
export function readEnvoyVersion(path: string, signal: AbortSignal): Promise<EnvoyBinary> {
  return new Promise((resolve, reject) => {
    childProcess.execFile(path, ['--version'], { timeout: 10_000, signal, encoding: 'utf8' }, (error, stdout) => {
      const found = parseEnvoyVersion(stdout);
      if (found) resolve({ path, ...found });
      else if (signal.aborted) reject(signal.reason);
      else
        reject(
          new DataplaneError(
            'envoy_unusable',
            `use Envoy ${path}: ${whyUnusable(error)}; give another file with --binary-path`,
            { cause: error },
          ),
        );
    });
  });
}

function whyUnusable(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'there is no such file, or its loader is not on this machine';
    case 'EACCES':
      return 'it is not executable';
    case '':
      return error
        ? `"--version" failed: ${messageOf(error).split('\n')[0]}`
        : '"--version" does not answer like Envoy';
    default:
      return `it does not start: ${codeOf(error)}`;
  }
}
