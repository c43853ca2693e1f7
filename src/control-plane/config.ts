/**
 * The configuration of the control plane: `config-keys.ts` says what there is, this file reads it.
 *
 * ```
 * defaults  <-  YAML file  <-  environment     every problem collected, then completed (paths absolute, TLS files inherited)
 * ```
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { nearest } from '../lib/nearest.ts';
import { envValue, unknownVariables } from './config-env.ts';
import { CONFIG_KEYS, type ControlPlaneConfig } from './config-keys.ts';
import { formatGoDuration, isSetting, type PlacedSetting, placedSettings, type SettingTree } from './config-setting.ts';
import { asksForNothing, type KeyWithoutEffect, keysWithoutEffect } from './config-without-effect.ts';

export type { ControlPlaneConfig } from './config-keys.ts';

export interface ConfigProblem {
  /** Key path or environment variable; '' for the file as a whole. */
  readonly field: string;
  readonly reason: string;
  /** A known key or variable that was probably meant. */
  readonly suggestion?: string;
}

/** Code `invalid-config`. `problems` has every one found, the message lists them all. */
export class ConfigError extends Error {
  readonly code = 'invalid-config';
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[], source: string) {
    super(`read control plane configuration${source}: ${problems.map(problemText).join('; ')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** One problem as one line: field, reason, next step. */
function problemText(problem: ConfigProblem): string {
  const field = problem.field === '' ? '' : `${problem.field}: `;
  return `${field}${problem.reason}${problem.suggestion === undefined ? '' : `, did you mean ${problem.suggestion}?`}`;
}

export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string;
  /** Values in the YAML form, for callers that build a configuration; they win over the file and lose to the environment. */
  readonly values?: unknown;
  /** Usually `process.env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface LoadedConfig {
  readonly config: ControlPlaneConfig;
  /** Things that will surprise: keys that are set and have no effect. One sentence for each reason. */
  readonly warnings: readonly string[];
}

/** Reads and checks the configuration. Throws `ConfigError` with every problem of every source. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const found: Found = { given: new Map(), problems: [], idle: new Map() };
  if (sources.file !== undefined) collectTree(readYaml(sources.file, found.problems), found);
  if (sources.values !== undefined) collectTree(sources.values, found);
  collectEnv(sources.env, found);
  const values = new Map(SETTINGS.map((placed) => [placed.path, parseSetting(placed, found)]));
  if (found.problems.length === 0) found.problems.push(...crossProblems(values));
  if (found.problems.length > 0) {
    throw new ConfigError(found.problems, sources.file === undefined ? '' : ` ${sources.file}`);
  }
  return { config: buildConfig(completePaths(values, sources.env)), warnings: [...found.idle].map(idleText) };
}

/** The configuration as it may be shown: secrets are `***`, durations are Go text, keys as in the YAML file. */
export function maskedConfig(config: ControlPlaneConfig): Record<string, unknown> {
  const show = (tree: SettingTree, values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(tree).map(([key, node]) => {
        const value = values[key];
        if (!isSetting(node)) return [key, show(node, value as Readonly<Record<string, unknown>>)];
        if (node.secret === true) return [key, '***'];
        return [key, node.form === 'duration' ? formatGoDuration(value as number) : value];
      }),
    );
  return show(CONFIG_KEYS, config);
}

const SETTINGS: readonly PlacedSetting[] = placedSettings(CONFIG_KEYS);

interface Found {
  /** Raw values by key path. Later sources overwrite. */
  readonly given: Map<string, { readonly value: unknown; readonly field: string }>;
  readonly problems: ConfigProblem[];
  /** Fields without effect, by the reason. */
  readonly idle: Map<string, string[]>;
}

function readYaml(file: string, problems: ConfigProblem[]): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    problems.push({ field: '', reason: `cannot read the file: ${(error as NodeJS.ErrnoException).code ?? error}` });
    return undefined;
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    problems.push({ field: '', reason: `not YAML at line ${line}, column ${col}: ${error.message}` });
  }
  return document.errors.length > 0 ? undefined : document.toJS();
}

/** Takes known leaves of a YAML tree into `found.given`; the rest becomes a problem or a warning. */
function collectTree(root: unknown, found: Found): void {
  const idle = new Map(keysWithoutEffect().map((key) => [key.path, key]));
  const inside = new Set([...idle.keys()].flatMap((path) => parents(path)));
  const walk = (value: unknown, node: SettingTree | undefined, prefix: string): void => {
    if (value === undefined || value === null) return;
    if (typeof value !== 'object' || Array.isArray(value)) {
      found.problems.push({ field: prefix, reason: 'must be a section with keys' });
      return;
    }
    for (const [key, child] of Object.entries(value)) {
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const known = node !== undefined && Object.hasOwn(node, key) ? node[key] : undefined;
      if (known !== undefined && isSetting(known)) {
        if (child !== null && child !== undefined) found.given.set(path, { value: child, field: path });
      } else if (idle.has(path)) {
        noteIdle(idle.get(path)!, path, child, found);
      } else if (known !== undefined || inside.has(path)) {
        walk(child, known, path);
      } else {
        found.problems.push({ field: path, reason: 'unknown key', ...suggestion(path, idle.keys()) });
      }
    }
  };
  walk(root, CONFIG_KEYS, '');
}

/** A warning for a key without effect, or a problem when it is one that must not be ignored. */
function noteIdle(key: KeyWithoutEffect, field: string, value: unknown, found: Found): void {
  if (!key.refused) found.idle.set(key.reason, [...(found.idle.get(key.reason) ?? []), field]);
  else if (!asksForNothing(value))
    found.problems.push({ field, reason: `cannot be honoured, remove it: ${key.reason}` });
}

/** Fields named in one warning; a whole file of Kuma's has hundreds without effect. */
const NAMED_FIELDS = 5;

function idleText([reason, fields]: readonly [string, readonly string[]]): string {
  const named = fields.slice(0, NAMED_FIELDS).join(', ');
  const more = fields.length > NAMED_FIELDS ? ` and ${fields.length - NAMED_FIELDS} more` : '';
  return `${named}${more} ${fields.length === 1 ? 'has' : 'have'} no effect: ${reason}`;
}

function parents(path: string): string[] {
  const keys = path.split('.');
  return keys.slice(1).map((_, index) => keys.slice(0, index + 1).join('.'));
}

/** A sibling of like name first, then any key that ends alike. */
function suggestion(path: string, idle: Iterable<string>): { suggestion?: string } {
  const all = [...SETTINGS.map((placed) => placed.path), ...idle].flatMap((known) => [...parents(known), known]);
  const unique = [...new Set(all)];
  const [parent, key] = splitLast(path);
  const siblings = unique.filter((known) => splitLast(known)[0] === parent);
  const near = nearest(
    key,
    siblings.map((known) => splitLast(known)[1]),
  );
  if (near !== undefined) return { suggestion: parent === '' ? near : `${parent}.${near}` };
  const elsewhere = unique.find((known) => splitLast(known)[1] === key) ?? nearest(path, unique);
  return elsewhere === undefined ? {} : { suggestion: elsewhere };
}

function splitLast(path: string): [parent: string, key: string] {
  const at = path.lastIndexOf('.');
  return at < 0 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
}

function collectEnv(env: ConfigSources['env'], found: Found): void {
  const idle = keysWithoutEffect();
  const known = new Set([...SETTINGS.flatMap((placed) => placed.env ?? []), ...idle.map((key) => key.env)]);
  for (const placed of SETTINGS) {
    const value = envValue(placed, env);
    if (value !== undefined) found.given.set(placed.path, { value, field: placed.env! });
  }
  for (const key of idle) {
    if (env[key.env] !== undefined) noteIdle(key, key.env, env[key.env], found);
  }
  for (const problem of unknownVariables(env, known)) {
    const meant = problem.suggestion === undefined ? {} : { suggestion: problem.suggestion };
    found.problems.push({ field: problem.name, reason: 'unknown environment variable', ...meant });
  }
}

/** The parsed value of one setting, or its default; adds to `found.problems` when it does not fit. */
function parseSetting({ path, setting }: PlacedSetting, found: Found): unknown {
  const given = found.given.get(path);
  const unset = given === undefined || (given.value === '' && setting.choices?.includes('') === false);
  if (unset) return setting.default;
  const parsed = setting.schema.safeParse(given.value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const inner = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
    found.problems.push({ field: `${given.field}${inner}`, reason: issue.message });
  }
  return setting.default;
}

/** Rules over more than one key; every single key is fine by now. */
function crossProblems(values: ReadonlyMap<string, unknown>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const server of ['general', ...SERVERS]) {
    const cert = values.get(`${server}.tlsCertFile`);
    const key = values.get(`${server}.tlsKeyFile`);
    if ((cert === '') === (key === '')) continue;
    const missing = cert === '' ? 'tlsCertFile' : 'tlsKeyFile';
    const given = cert === '' ? 'tlsKeyFile' : 'tlsCertFile';
    problems.push({ field: `${server}.${missing}`, reason: `must be set together with ${server}.${given}` });
  }
  if ((values.get('environment') === 'kubernetes') !== (values.get('store.type') === 'kubernetes')) {
    problems.push({
      field: 'store.type',
      reason: 'must be kubernetes when environment is kubernetes, and only then',
    });
  }
  if (
    values.get('dpServer.authn.dpProxy.type') === 'serviceAccountToken' &&
    values.get('environment') !== 'kubernetes'
  ) {
    problems.push({
      field: 'dpServer.authn.dpProxy.type',
      reason: 'serviceAccountToken needs environment kubernetes',
    });
  }
  if (values.get('store.type') === 'postgres') {
    for (const key of ['host', 'user', 'dbName']) {
      const field = `store.postgres.${key}`;
      if (values.get(field) === '') problems.push({ field, reason: 'must not be empty when store.type is postgres' });
    }
    const verifies = ['verifyCa', 'verifyFull'].includes(String(values.get('store.postgres.tls.mode')));
    if (verifies && values.get('store.postgres.tls.caPath') === '') {
      problems.push({
        field: 'store.postgres.tls.caPath',
        reason: 'must be set when the server certificate is verified',
      });
    }
  }
  if (
    values.get('diagnostics.tlsEnabled') === true &&
    ['diagnostics', 'general'].every((at) => values.get(`${at}.tlsCertFile`) === '')
  ) {
    problems.push({ field: 'diagnostics.tlsCertFile', reason: 'must be set when diagnostics.tlsEnabled is true' });
  }
  if (!String(values.get('apiServer.basePath')).startsWith('/')) {
    problems.push({ field: 'apiServer.basePath', reason: 'must start with /' });
  }
  const rootUrl = String(values.get('apiServer.rootUrl'));
  if (rootUrl !== '' && !/^https?:$/.test(URL.parse(rootUrl)?.protocol ?? '')) {
    problems.push({ field: 'apiServer.rootUrl', reason: 'must be an http or https URL' });
  }
  const types = (values.get('weft.ca.plugins') as ControlPlaneConfig['weft']['ca']['plugins']).map(({ type }) => type);
  for (const [index, type] of types.entries()) {
    if (types.indexOf(type) === index) continue;
    problems.push({ field: `weft.ca.plugins[${index}].type`, reason: 'is listed twice' });
  }
  if (values.get('multizone.zone.name') === '') {
    problems.push({ field: 'multizone.zone.name', reason: 'must not be empty' });
  }
  return problems;
}

/** Sections whose empty TLS keys take the value of `general`. Source: Kuma 2.11 `pkg/core/bootstrap/autoconfig.go`. */
const SERVERS = ['apiServer.https', 'diagnostics', 'dpServer'] as const;

/** Fills what stands on the machine or on another key: paths become absolute, servers inherit TLS settings. */
function completePaths(values: ReadonlyMap<string, unknown>, env: ConfigSources['env']): ReadonlyMap<string, unknown> {
  const full = new Map(values);
  const text = (path: string) => full.get(path) as string;
  const workDir = resolve(text('general.workDir') || join(env['HOME'] || homedir(), '.weft'));
  full.set('general.workDir', workDir);
  full.set('store.sqlite.path', resolve(text('store.sqlite.path') || join(workDir, 'weft.db')));
  if (text('store.kubernetes.systemNamespace') === '') {
    const onKubernetes = text('environment') === 'kubernetes';
    full.set('store.kubernetes.systemNamespace', onKubernetes ? 'kong-mesh-system' : 'kuma-system');
  }
  if (text('dpServer.authn.dpProxy.type') === '') {
    full.set('dpServer.authn.dpProxy.type', text('environment') === 'kubernetes' ? 'serviceAccountToken' : 'dpToken');
  }
  const sealingKeyFile = text('weft.identity.sealingKeyFile');
  // Control planes that share a store share the key through it, unless they were given a file.
  const shared = ['postgres', 'kubernetes'].includes(text('store.type'));
  const sealingKeyDefault = shared ? '' : join(workDir, 'sealing.key');
  if (sealingKeyFile !== '' || sealingKeyDefault !== '') {
    full.set('weft.identity.sealingKeyFile', resolve(sealingKeyFile || sealingKeyDefault));
  }
  for (const server of SERVERS) {
    for (const key of ['tlsCertFile', 'tlsKeyFile', 'tlsMinVersion']) {
      if (text(`${server}.${key}`) === '') full.set(`${server}.${key}`, full.get(`general.${key}`));
    }
  }
  return full;
}

function buildConfig(values: ReadonlyMap<string, unknown>): ControlPlaneConfig {
  const build = (tree: SettingTree, prefix: string): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(tree).map(([key, node]) => {
        const path = `${prefix}${key}`;
        return [key, isSetting(node) ? values.get(path) : build(node, `${path}.`)];
      }),
    );
  // Built from the very tree the type is derived from, each leaf parsed by the schema of that leaf.
  return build(CONFIG_KEYS, '') as ControlPlaneConfig;
}
