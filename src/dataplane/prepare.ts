import type { Logger } from '../lib/log.ts';
import { buildBootstrapRequest, type LauncherVersion } from './bootstrap-request.ts';
import { findEnvoy } from './envoy-binary.ts';
import { ENVOY_LOG_FORMAT } from './envoy-log.ts';
import { type EnvoyBinary, isSupportedEnvoy } from './envoy-version.ts';
import { codeOf, DataplaneError } from './error.ts';
import { fetchBootstrap } from './fetch-bootstrap.ts';
import type { DataplaneOptions } from './flags.ts';
import type { KeyPlan } from './keys/key-keeper.ts';
import { findSystemCaPath, hasIpv6, lookUpProgram, readMemoryLimit } from './machine.ts';
import { fs, os } from './node.ts';
import { createEnvoyProgress, type ProgressScreen } from './progress.ts';
import { chooseReadinessPort } from './readiness.ts';
import { fillVariables, readResourceIdentity } from './resource.ts';
import { planWorkdir, type WorkdirPlan } from './workdir.ts';

/** All that is needed to run one Envoy; plain JSON, so that it can be handed to another program image. Holds the data plane token. */
export interface PreparedDataplane {
  /** `<mesh>.<name>`, for the log and the process title. */
  readonly proxy: string;
  /** Of the data plane; '' for none. */
  readonly token: string;
  /** Envoy's bootstrap, YAML. */
  readonly bootstrap: string;
  readonly envoyPath: string;
  readonly envoyVersion: string;
  readonly envoyArgs: readonly string[];
  /** '' when the machine has none; see `EnvoyRun.setpriv`. */
  readonly setpriv: string;
  readonly workdir: WorkdirPlan;
  readonly drainTimeMs: number;
  /** 0: none. */
  readonly readinessPort: number;
  readonly logLevel: string;
  /** `undefined`: the control plane makes the proxy's key. */
  readonly keys: KeyPlan | undefined;
}

export interface Preparation {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly launcher: LauncherVersion;
  readonly screen: ProgressScreen;
  readonly readStdin: () => Promise<string>;
  /** In [0, 1). */
  readonly random: () => number;
  /** Lower-case letters and digits nobody can guess, for the name of a folder. */
  readonly randomName: string;
  readonly signal: AbortSignal;
}

/**
 * Everything before Envoy starts: token, resource, Envoy program, bootstrap. Leaves nothing on disk but a fetched Envoy.
 * Throws `DataplaneError`; when `signal` aborts, its reason.
 */
export async function prepareDataplane(
  options: DataplaneOptions,
  preparation: Preparation,
): Promise<PreparedDataplane> {
  const { env, log, signal } = preparation;
  const caCert = readCaCert(options.caCert);
  const token = readToken(options.token);
  const identity = await readIdentity(options, preparation.readStdin);
  const workdir = planWorkdir(options.configDir, os.tmpdir(), preparation.randomName);
  const keySocketPath = options.keys === 'proxy' ? workdir.keySocket : '';
  if (options.keys === 'proxy' && keySocketPath === '')
    log.warn('the control plane makes the key: the path of a socket in this folder is too long', {
      folder: workdir.path,
    });
  const readinessPort = await chooseReadinessPort(options.readinessPort, options.readinessPortFixed);
  const binary = findEnvoy({
    binaryPath: options.binaryPath,
    env,
    onProgress: createEnvoyProgress(preparation.screen),
    signal,
  });
  const request = async () => {
    const envoy = await binary;
    const envoyCompatible = isSupportedEnvoy(envoy.version);
    if (!envoyCompatible)
      log.warn('this Envoy is older than those the configuration is made for', {
        path: envoy.path,
        version: envoy.version,
      });
    log.debug('asking for the bootstrap', {
      mesh: identity.mesh,
      name: identity.name,
      controlPlane: options.cpAddress.origin,
    });
    return buildBootstrapRequest({
      options,
      ...identity,
      token,
      caCert,
      envoy,
      envoyCompatible,
      launcher: preparation.launcher,
      workdir: workdir.path,
      adminSocketPath: workdir.adminSocket,
      keySocketPath,
      readinessPort,
      maxHeapSizeBytes: options.maxMemoryBytes || readMemoryLimit(),
      systemCaPath: options.systemCaPath || findSystemCaPath(),
      ipv6Enabled: options.ipv6Enabled && hasIpv6(),
      operatingSystem: process.platform,
      reloadsToken: false,
    });
  };
  const { text: bootstrap, proxyKeys } = await fetchBootstrap({
    cpAddress: options.cpAddress,
    caCert,
    request: request(),
    retryBackoffMs: options.retryBackoffMs,
    retryMaxMs: options.retryMaxMs,
    log,
    signal,
    random: preparation.random,
  });
  const { path, version }: EnvoyBinary = await binary;
  const proxy = `${identity.mesh}.${identity.name}`;
  if (keySocketPath !== '' && proxyKeys === undefined)
    log.warn('the control plane makes the key: it does not offer keys beside the proxy', { proxy });
  return {
    proxy,
    token,
    bootstrap,
    envoyPath: path,
    envoyVersion: version,
    envoyArgs: envoyArguments(options, workdir, version),
    setpriv: lookUpProgram('setpriv', env) ?? '',
    workdir,
    drainTimeMs: options.drainTimeMs,
    readinessPort,
    logLevel: options.logLevel,
    keys: proxyKeys && { ...proxyKeys, token, proxy, socket: keySocketPath, file: workdir.identity },
  };
}

/** PEM, '' for the machine's own CAs. Throws `ca_invalid`. */
export function readCaCert(source: DataplaneOptions['caCert']): string {
  if (source.kind === 'system') return '';
  const pem =
    source.kind === 'pem'
      ? source.pem
      : readText(source.path, 'ca_invalid', 'the CA of the control plane', '--ca-cert-file');
  if (!/-----BEGIN (?:TRUSTED )?CERTIFICATE-----/.test(pem)) {
    const where = source.kind === 'pem' ? 'KUMA_CONTROL_PLANE_CA_CERT' : source.path;
    throw new DataplaneError(
      'ca_invalid',
      `read the CA of the control plane from ${where}: no PEM certificate in it; give the CA that signed the control plane's certificate`,
    );
  }
  return pem;
}

function readText(path: string, code: DataplaneError['code'], what: string, flag: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    throw new DataplaneError(code, `read ${what} from ${path}: ${codeOf(error)}; check ${flag}`, { cause: error });
  }
}

/** The token, '' for none. Throws `token_unreadable`. */
export function readToken(source: DataplaneOptions['token']): string {
  if (source.kind === 'none') return '';
  const text =
    source.kind === 'text'
      ? source.text
      : readText(source.path, 'token_unreadable', 'the data plane token', '--dataplane-token-file');
  const token = text.trim();
  if (!token)
    throw new DataplaneError(
      'token_unreadable',
      `read the data plane token: ${source.kind === 'file' ? source.path : 'it'} is empty; generate one for this proxy`,
    );
  return token;
}

async function readIdentity(
  options: DataplaneOptions,
  readStdin: () => Promise<string>,
): Promise<{ mesh: string; name: string; resource: string }> {
  if (options.resource.kind === 'none') return { mesh: options.mesh, name: options.name, resource: '' };
  const resource = fillVariables(await readTemplate(options.resource, readStdin), options.variables);
  const { type, mesh, name } = await readResourceIdentity(resource);
  const wanted = { dataplane: 'Dataplane', ingress: 'ZoneIngress', egress: 'ZoneEgress' }[options.proxyType];
  if (type !== wanted) {
    throw new DataplaneError(
      'dataplane_invalid',
      `read the Dataplane resource: type ${type} with --proxy-type ${options.proxyType}; expected ${wanted}`,
    );
  }
  return { mesh, name, resource };
}

async function readTemplate(
  source: { kind: 'file'; path: string } | { kind: 'text'; text: string },
  readStdin: () => Promise<string>,
): Promise<string> {
  if (source.kind === 'text') return source.text;
  return source.path === '-'
    ? readStdin()
    : readText(source.path, 'dataplane_invalid', 'the Dataplane resource', '--dataplane-file');
}

/** Source: Kuma 2.11 `app/kuma-dp/pkg/dataplane/envoy/envoy.go`; the log format and the admin address file are ours. */
function envoyArguments(options: DataplaneOptions, workdir: WorkdirPlan, version: string): string[] {
  const args = [
    ['--config-path', workdir.bootstrap],
    ['--drain-time-s', String(Math.ceil(options.drainTimeMs / 1000))],
    ['--drain-strategy', 'immediate'],
    ['--disable-hot-restart'],
    ['--log-level', options.envoyLogLevel],
    ['--log-format', ENVOY_LOG_FORMAT],
    ['--admin-address-path', workdir.adminAddress],
    options.envoyComponentLogLevel ? ['--component-log-level', options.envoyComponentLogLevel] : [],
    workerArguments(options.concurrency, version),
  ];
  return args.flat();
}

/** Envoy 1.40 counts the CPUs of the cpuset by itself and warns of the flag that older ones need. */
function workerArguments(concurrency: number, version: string): string[] {
  if (concurrency > 0) return ['--concurrency', String(concurrency)];
  return Number(version.split('.')[1]) >= 40 ? [] : ['--cpuset-threads'];
}
