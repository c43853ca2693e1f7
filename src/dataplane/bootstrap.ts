/**
 * `weft dp bootstrap`: what the init container `kuma-bootstrap` does before Envoy runs alone in a Pod. Asks the control plane for the bootstrap,
 * as `dp run` does, writes it, and ends. Envoy's admin API is on a loopback port, since nobody would clean up a socket for a restarted Envoy.
 */
import type { Logger } from '../lib/log.ts';
import { buildBootstrapRequest, type LauncherVersion } from './bootstrap-request.ts';
import { findEnvoy } from './envoy-binary.ts';
import { isSupportedEnvoy } from './envoy-version.ts';
import { codeOf, DataplaneError } from './error.ts';
import { fetchBootstrap } from './fetch-bootstrap.ts';
import {
  completeDataplaneOptions,
  DATAPLANE_FLAGS,
  type DataplaneOptions,
  helpText,
  parseDataplaneFlags,
} from './flags.ts';
import { findSystemCaPath, hasIpv6, readMemoryLimit } from './machine.ts';
import { fs, path as paths } from './node.ts';
import { readCaCert, readToken } from './prepare.ts';
import { createProcessLogs, runWithSignals } from './process.ts';

interface BootstrapRun {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly launcher: LauncherVersion;
  /** In [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

const FLAGS = new Set([
  'cp-address',
  'ca-cert-file',
  'mesh',
  'name',
  'dataplane-token-file',
  'binary-path',
  'config-dir',
  'bind-outbounds',
  'log-level',
  'help',
]);

/** The whole command, for an entry file: `argv` is what follows `dp bootstrap`. Gives the exit code; errors go to stderr. */
export async function bootstrapMain(argv: readonly string[], launcher: LauncherVersion): Promise<number> {
  return runWithSignals(async (signal) => {
    const flags = parseDataplaneFlags(argv, 'dp bootstrap');
    if (flags['help'] === true) {
      const about = 'Writes the bootstrap of an Envoy that then runs by itself: bootstrap.yaml in --config-dir.';
      process.stdout.write(
        helpText(
          'dp bootstrap',
          about,
          DATAPLANE_FLAGS.filter(({ name }) => FLAGS.has(name)),
        ),
      );
      return;
    }
    // Everything in the Pod waits for this, so it asks often.
    const env = { KUMA_CONTROL_PLANE_RETRY_BACKOFF: '500ms', ...process.env };
    const options = completeDataplaneOptions(flags, env);
    const { log } = createProcessLogs(options.logLevel);
    await writeBootstrap(options, { env, log, launcher, random: Math.random, signal });
  });
}

/**
 * Fetches the bootstrap of one existing Dataplane and writes it to `bootstrap.yaml` in `configDir`, whole or not at all. Gives the file's path.
 * Errors: `options_invalid`, `token_unreadable`, `ca_invalid`, `control_plane_untrusted`, `control_plane_unreachable`, `bootstrap_refused`,
 * `envoy_not_found`, `envoy_unusable`.
 */
async function writeBootstrap(options: DataplaneOptions, run: BootstrapRun): Promise<string> {
  const { configDir, mesh, name } = options;
  if (configDir === '')
    throw new DataplaneError('options_invalid', 'write the bootstrap: no folder is named; give --config-dir');
  const startedAt = performance.now();
  const caCert = readCaCert(options.caCert);
  // Not sent: Envoy reads it. A file that is not there is better told now.
  if (options.token.kind === 'file') readToken(options.token);
  const request = async () => {
    const envoy = await findEnvoy({ binaryPath: options.binaryPath, env: run.env, signal: run.signal });
    return buildBootstrapRequest({
      options,
      mesh,
      name,
      token: options.token.kind === 'text' ? options.token.text : '',
      resource: '',
      caCert,
      envoy,
      envoyCompatible: isSupportedEnvoy(envoy.version),
      launcher: run.launcher,
      workdir: configDir,
      adminSocketPath: '',
      keySocketPath: '',
      readinessPort: 0,
      maxHeapSizeBytes: options.maxMemoryBytes || readMemoryLimit(),
      systemCaPath: options.systemCaPath || findSystemCaPath(),
      ipv6Enabled: options.ipv6Enabled && hasIpv6(),
      operatingSystem: process.platform,
      reloadsToken: options.token.kind === 'file',
    });
  };
  const { text: bootstrap } = await fetchBootstrap({
    cpAddress: options.cpAddress,
    caCert,
    request: request(),
    whenUnknown: `on Kubernetes the control plane makes it from the Pod: see the events of the Pod and the log of the control plane for ${name} in mesh ${mesh}`,
    retryBackoffMs: options.retryBackoffMs,
    retryMaxMs: options.retryMaxMs,
    log: run.log,
    signal: run.signal,
    random: run.random,
  });
  const file = paths.join(configDir, 'bootstrap.yaml');
  writeWhole(file, bootstrap);
  run.log.info('bootstrap written', { mesh, name, file, tookMs: Math.round(performance.now() - startedAt) });
  return file;
}

function writeWhole(file: string, text: string): void {
  const unfinished = `${file}.${process.pid}`;
  try {
    fs.mkdirSync(paths.dirname(file), { recursive: true });
    fs.writeFileSync(unfinished, text, { mode: 0o600 });
    fs.renameSync(unfinished, file);
  } catch (error) {
    fs.rmSync(unfinished, { force: true });
    throw new DataplaneError(
      'options_invalid',
      `write ${file}: ${codeOf(error)}; give another folder with --config-dir`,
      {
        cause: error,
      },
    );
  }
}
