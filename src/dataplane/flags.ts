/**
 * Flags and environment of `weft dp run`: the names and defaults of `kuma-dp run`. Source: Kuma 2.11
 * `app/kuma-dp/cmd/run.go`, `pkg/config/app/kuma-dp`.
 */
import { parseGoDuration } from '../lib/duration.ts';
import { DataplaneError } from './error.ts';

export interface DataplaneFlag {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  /** `list` may be given several times. */
  readonly kind: 'string' | 'boolean' | 'list';
  /** Environment variable that gives the value when the flag is absent. */
  readonly env?: string;
  readonly default?: string;
  /** Name of the value in the help. */
  readonly value?: string;
  readonly description: string;
}

export const DATAPLANE_FLAGS: readonly DataplaneFlag[] = [
  {
    name: 'cp-address',
    kind: 'string',
    env: 'KUMA_CONTROL_PLANE_URL',
    default: 'https://localhost:5678',
    value: 'URL',
    description: 'control plane, the port for proxies',
  },
  {
    name: 'ca-cert-file',
    kind: 'string',
    env: 'KUMA_CONTROL_PLANE_CA_CERT_FILE',
    value: 'FILE',
    description: "CA that the control plane's certificate is checked against",
  },
  {
    name: 'mesh',
    short: 'm',
    kind: 'string',
    env: 'KUMA_DATAPLANE_MESH',
    value: 'NAME',
    description: 'mesh of the proxy; not with a Dataplane resource',
  },
  {
    name: 'name',
    kind: 'string',
    env: 'KUMA_DATAPLANE_NAME',
    value: 'NAME',
    description: 'name of the proxy; not with a Dataplane resource',
  },
  {
    name: 'proxy-type',
    kind: 'string',
    env: 'KUMA_DATAPLANE_PROXY_TYPE',
    default: 'dataplane',
    value: 'TYPE',
    description: 'dataplane, ingress or egress',
  },
  {
    name: 'dataplane-file',
    short: 'd',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_RESOURCE_PATH',
    value: 'FILE',
    description: 'Dataplane resource, YAML or JSON; - is standard input',
  },
  {
    name: 'dataplane',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_RESOURCE',
    value: 'TEXT',
    description: 'the Dataplane resource itself',
  },
  {
    name: 'dataplane-var',
    short: 'v',
    kind: 'list',
    value: 'NAME=VALUE',
    description: 'value for {{ NAME }} in the Dataplane resource',
  },
  {
    name: 'dataplane-token-file',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_TOKEN_PATH',
    value: 'FILE',
    description: 'file that holds the data plane token',
  },
  {
    name: 'dataplane-token',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_TOKEN',
    value: 'TOKEN',
    description: 'the data plane token itself',
  },
  {
    name: 'binary-path',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_BINARY_PATH',
    value: 'FILE',
    description: 'Envoy program; default: envoy on PATH, else fetched once',
  },
  {
    name: 'keys',
    kind: 'string',
    env: 'WEFT_DATAPLANE_KEYS',
    default: 'proxy',
    value: 'WHERE',
    description: "who makes the proxy's private key: proxy, so that it never leaves this machine, or control-plane",
  },
  {
    name: 'concurrency',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_CONCURRENCY',
    default: '0',
    value: 'N',
    description: 'worker threads of Envoy; 0: one per usable CPU',
  },
  {
    name: 'config-dir',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_CONFIG_DIR',
    value: 'DIR',
    description: 'folder for the bootstrap and sockets; default: a private temporary one',
  },
  {
    name: 'drain-time',
    kind: 'string',
    env: 'KUMA_DATAPLANE_DRAIN_TIME',
    default: '30s',
    value: 'DURATION',
    description: 'how long connections may end on stop',
  },
  {
    name: 'readiness-port',
    kind: 'string',
    env: 'KUMA_READINESS_PORT',
    default: '9902',
    value: 'PORT',
    description: 'port of /ready; 0: none',
  },
  {
    name: 'envoy-log-level',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_ENVOY_LOG_LEVEL',
    value: 'LEVEL',
    description: "Envoy's log level; default: that of --log-level",
  },
  {
    name: 'envoy-component-log-level',
    kind: 'string',
    env: 'KUMA_DATAPLANE_RUNTIME_ENVOY_COMPONENT_LOG_LEVEL',
    value: 'LIST',
    description: "Envoy's --component-log-level",
  },
  {
    name: 'bind-outbounds',
    kind: 'boolean',
    env: 'KUMA_DATAPLANE_RUNTIME_BIND_OUTBOUNDS',
    description: 'bind outbounds to their real addresses',
  },
  {
    name: 'log-level',
    kind: 'string',
    env: 'KUMA_LOG_LEVEL',
    default: 'info',
    value: 'LEVEL',
    description: 'debug, info, warn, error or off',
  },
  { name: 'help', short: 'h', kind: 'boolean', description: 'show this help' },
];

/** Raw values by flag name, before anything is checked. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** Reads `argv` (what follows the command, `dp run`). Throws `options_invalid` for a flag that does not exist or lacks its value. */
export function parseDataplaneFlags(argv: readonly string[], command = 'dp run'): FlagValues {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {};
  for (const flag of DATAPLANE_FLAGS) {
    options[flag.name] = {
      type: flag.kind === 'boolean' ? 'boolean' : 'string',
      multiple: flag.kind === 'list',
      ...(flag.short && { short: flag.short }),
    };
  }
  try {
    return process
      .getBuiltinModule('node:util')
      .parseArgs({ args: [...argv], options, allowPositionals: false, allowNegative: true }).values;
  } catch (error) {
    const text = (error as Error).message.split('\n')[0]!.split('. ')[0]!;
    throw new DataplaneError(
      'options_invalid',
      `read the flags of ${command}: ${text.charAt(0).toLowerCase()}${text.slice(1)}; see weft ${command} --help`,
      { cause: error },
    );
  }
}

/** Help text of `weft dp run`. */
export function describeDataplaneFlags(): string {
  return helpText('dp run', 'Runs Envoy beside a workload, configured by the control plane.', DATAPLANE_FLAGS);
}

/** Help text of a command that takes these flags. */
export function helpText(command: string, about: string, flags: readonly DataplaneFlag[]): string {
  const rows = flags.map((flag) => {
    const left = `  ${flag.short ? `-${flag.short}, ` : '    '}--${flag.name}${flag.value ? ` ${flag.value}` : ''}`;
    const notes = [flag.default && `default ${flag.default}`, flag.env].filter(Boolean).join(', ');
    return [left, notes ? `${flag.description} (${notes})` : flag.description] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const lines = rows.map(([left, right]) => `${left.padEnd(width)}${right}`);
  return [`Usage: weft ${command} [flags]`, '', about, '', 'Flags:', ...lines, ''].join('\n');
}

/** Complete, checked options of one proxy. */
export interface DataplaneOptions {
  readonly cpAddress: URL;
  /** '' when no CA was given: the machine's own CAs are used. */
  readonly caCert:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'pem'; readonly pem: string }
    | { readonly kind: 'system' };
  /** '' when they come from the resource. */
  readonly mesh: string;
  readonly name: string;
  readonly proxyType: 'dataplane' | 'ingress' | 'egress';
  readonly resource:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'none' };
  readonly variables: Readonly<Record<string, string>>;
  readonly token:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'none' };
  readonly binaryPath: string;
  /** Who makes the proxy's private key. */
  readonly keys: 'proxy' | 'control-plane';
  /** 0: one worker per CPU of the cpuset. */
  readonly concurrency: number;
  /** '': a private temporary folder. */
  readonly configDir: string;
  readonly drainTimeMs: number;
  /** 0: no readiness endpoint. */
  readonly readinessPort: number;
  /** False: another port may be taken when this one is in use. */
  readonly readinessPortFixed: boolean;
  readonly logLevel: string;
  readonly envoyLogLevel: string;
  readonly envoyComponentLogLevel: string;
  readonly bindOutbounds: boolean;
  readonly retryBackoffMs: number;
  readonly retryMaxMs: number;
  readonly ipv6Enabled: boolean;
  /** '': found on the machine. */
  readonly systemCaPath: string;
  readonly metricsCertPath: string;
  readonly metricsKeyPath: string;
  /** 0: from the control group. */
  readonly maxMemoryBytes: number;
}

const ENVOY_LEVELS: Readonly<Record<string, string>> = { silent: 'off' };

/** Completes flags with `env` and defaults. Throws `options_invalid` naming the flag, what is wrong and what it takes. */
export function completeDataplaneOptions(
  flags: FlagValues,
  env: Readonly<Record<string, string | undefined>>,
): DataplaneOptions {
  const text = (name: string): string => {
    const flag = DATAPLANE_FLAGS.find((one) => one.name === name)!;
    const given = flags[name];
    return typeof given === 'string' ? given : (flag.env && env[flag.env]) || flag.default || '';
  };
  const inlineCa = env['KUMA_CONTROL_PLANE_CA_CERT'] ?? '';
  const proxyType = text('proxy-type');
  if (proxyType !== 'dataplane' && proxyType !== 'ingress' && proxyType !== 'egress') {
    throw invalid('--proxy-type', proxyType, 'one of dataplane, ingress, egress');
  }
  const keys = text('keys');
  if (keys !== 'proxy' && keys !== 'control-plane') throw invalid('--keys', keys, 'one of proxy, control-plane');
  const logLevel = text('log-level');
  const mesh = text('mesh');
  const name = text('name');
  const inline = text('dataplane');
  const path = text('dataplane-file');
  if ((inline || path) && (mesh || name)) {
    throw new DataplaneError(
      'options_invalid',
      'read the flags of dp run: --mesh and --name are read from the Dataplane resource; leave them out or leave out the resource',
    );
  }
  if (!inline && !path && !name) {
    throw new DataplaneError(
      'options_invalid',
      'read the flags of dp run: no proxy is named; give --dataplane-file, or --name and --mesh of a Dataplane that exists',
    );
  }
  return {
    cpAddress: address(text('cp-address')),
    caCert: inlineCa
      ? { kind: 'pem', pem: inlineCa }
      : text('ca-cert-file')
        ? { kind: 'file', path: text('ca-cert-file') }
        : { kind: 'system' },
    mesh: mesh || (inline || path ? '' : 'default'),
    name,
    proxyType,
    resource: path ? { kind: 'file', path } : inline ? { kind: 'text', text: inline } : { kind: 'none' },
    variables: variables(flags['dataplane-var']),
    token: text('dataplane-token')
      ? { kind: 'text', text: text('dataplane-token') }
      : text('dataplane-token-file')
        ? { kind: 'file', path: text('dataplane-token-file') }
        : { kind: 'none' },
    binaryPath: text('binary-path'),
    keys,
    concurrency: integer('--concurrency', text('concurrency'), 1024),
    configDir: text('config-dir'),
    drainTimeMs: duration('--drain-time', text('drain-time')),
    readinessPort: integer('--readiness-port', text('readiness-port'), 65_535),
    readinessPortFixed: flags['readiness-port'] !== undefined || Boolean(env['KUMA_READINESS_PORT']),
    logLevel,
    envoyLogLevel: text('envoy-log-level') || (ENVOY_LEVELS[logLevel] ?? logLevel),
    envoyComponentLogLevel: text('envoy-component-log-level'),
    bindOutbounds:
      flags['bind-outbounds'] === true || (flags['bind-outbounds'] === undefined && text('bind-outbounds') === 'true'),
    retryBackoffMs: duration('KUMA_CONTROL_PLANE_RETRY_BACKOFF', env['KUMA_CONTROL_PLANE_RETRY_BACKOFF'] || '3s'),
    retryMaxMs: duration('KUMA_CONTROL_PLANE_RETRY_MAX_DURATION', env['KUMA_CONTROL_PLANE_RETRY_MAX_DURATION'] || '5m'),
    ipv6Enabled: env['KUMA_DATAPLANE_RUNTIME_IPV6_ENABLED'] !== 'false',
    systemCaPath: env['KUMA_DATAPLANE_RUNTIME_DYNAMIC_SYSTEM_CA_PATH'] ?? '',
    metricsCertPath: env['KUMA_DATAPLANE_RUNTIME_METRICS_CERT_PATH'] ?? '',
    metricsKeyPath: env['KUMA_DATAPLANE_RUNTIME_METRICS_KEY_PATH'] ?? '',
    maxMemoryBytes: integer(
      'KUMA_DATAPLANE_RESOURCES_MAX_MEMORY_BYTES',
      env['KUMA_DATAPLANE_RESOURCES_MAX_MEMORY_BYTES'] || '0',
      Number.MAX_SAFE_INTEGER,
    ),
  };
}

function invalid(name: string, value: string, wanted: string): DataplaneError {
  return new DataplaneError('options_invalid', `read ${name}: ${JSON.stringify(value)} is not ${wanted}`);
}

function address(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:')
    throw invalid('--cp-address', value, 'an https:// URL, such as https://localhost:5678');
  return url;
}

function integer(name: string, value: string, most: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number <= most)) throw invalid(name, value, `a whole number from 0 to ${most}`);
  return number;
}

function duration(name: string, value: string): number {
  const ms = parseGoDuration(value);
  if (ms === undefined || ms < 0) throw invalid(name, value, 'a duration, such as 30s or 1m30s');
  return ms;
}

function variables(pairs: FlagValues[string]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of Array.isArray(pairs) ? pairs : []) {
    // As in kuma-dp, one flag may hold several: a=1,b=2.
    for (const one of String(pair).split(/,(?=[A-Za-z0-9_.-]+=)/)) {
      const at = one.indexOf('=');
      if (at < 1) throw invalid('--dataplane-var', one, 'of the form NAME=VALUE');
      found[one.slice(0, at)] = one.slice(at + 1);
    }
  }
  return found;
}
