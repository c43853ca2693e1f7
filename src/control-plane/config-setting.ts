import { z } from 'zod';
import { parseGoDuration } from '../lib/duration.ts';

/** How a setting's text in an environment variable or a YAML scalar is read. */
export type SettingForm = 'text' | 'flag' | 'number' | 'duration' | 'list' | 'map' | 'objects';

/**
 * One leaf of the configuration: the single source of its type, check, default, environment variable and documentation.
 * `T` is the type after parsing: durations are milliseconds.
 */
export interface Setting<T> {
  readonly kind: 'setting';
  readonly form: SettingForm;
  readonly schema: z.ZodType<T>;
  readonly default: T;
  readonly description: string;
  /** Name where it is not derived from the path; source: the `envconfig` names of Kuma 2.11-2.14. */
  readonly env?: string;
  /** Never printed: `***` in a dump. */
  readonly secret?: boolean;
  /** Accepted words, for documentation. */
  readonly choices?: readonly string[];
  /** Default as documented when it depends on the machine. */
  readonly defaultText?: string;
}

/** A tree of settings, keys as in the YAML file. */
export interface SettingTree {
  readonly [key: string]: Setting<unknown> | SettingTree;
}

/** What a tree parses to: every key present, values read-only. */
export type ConfigOf<Tree> =
  Tree extends Setting<infer Value> ? Value : { readonly [Key in keyof Tree]: ConfigOf<Tree[Key]> };

interface Extras {
  readonly env?: string;
  readonly secret?: boolean;
  readonly defaultText?: string;
}

function setting<T>(form: SettingForm, schema: z.ZodType<T>, value: T, description: string, extras: Extras = {}) {
  const made: Setting<T> = { kind: 'setting', form, schema, default: value, description, ...extras };
  return made;
}

export function text(value: string, description: string, extras?: Extras): Setting<string> {
  return setting('text', z.string('must be a text'), value, description, extras);
}

export function flag(value: boolean, description: string, extras?: Extras): Setting<boolean> {
  return setting('flag', z.boolean('must be true or false'), value, description, extras);
}

/** A whole number, zero or more. */
export function count(value: number, description: string, extras?: Extras): Setting<number> {
  const schema = z.int('must be a whole number').min(0, 'must not be negative');
  return setting('number', schema, value, description, extras);
}

/** A TCP port; 0 lets the operating system choose. */
export function port(value: number, description: string, extras?: Extras): Setting<number> {
  const schema = z.int('must be a port number').min(0, 'must be in the range [0, 65535]');
  return setting('number', schema.max(65535, 'must be in the range [0, 65535]'), value, description, extras);
}

/** A Go duration (`1h30m`, `500ms`), milliseconds after parsing. */
export function duration(value: string, description: string, extras?: Extras): Setting<number> {
  const reason = 'must be a duration such as 500ms, 10s or 1h30m';
  const schema = z.union([z.string(), z.literal(0)], reason).transform((given, context) => {
    const ms = given === 0 ? 0 : parseGoDuration(given);
    if (ms !== undefined && ms >= 0) return ms;
    context.addIssue({ code: 'custom', message: ms === undefined ? reason : 'must not be negative' });
    return z.NEVER;
  });
  return setting('duration', schema, parseGoDuration(value) ?? Number.NaN, description, extras);
}

export function list(value: readonly string[], description: string, extras?: Extras): Setting<readonly string[]> {
  const schema = z.array(z.string('must be a text'), 'must be a list of texts').readonly();
  return setting('list', schema, value, description, extras);
}

/** Ports and ranges of them, numbers or texts; texts after parsing. `parse` says `undefined` for what is none. */
export function portList(
  parse: (text: string) => unknown,
  description: string,
  extras?: Extras,
): Setting<readonly string[]> {
  const item = z.union([z.int(), z.string()]).transform(String);
  const schema = z
    .array(item, 'must be a list of ports')
    .refine(
      (parts) => parse(parts.join(',')) !== undefined,
      'must be ports from 1 to 65535 and ranges of them, such as 8000-8100',
    )
    .readonly();
  return setting('list', schema, [], description, extras);
}

/** Hosts, `host:port`, addresses and CIDRs. `parse` says `undefined` for what is none. */
export function endpointList(description: string, parse: (text: string) => unknown): Setting<readonly string[]> {
  const item = z
    .string('must be a text')
    .refine(
      (text) => parse(text) !== undefined,
      'must be a host, host:port, an address or a CIDR, such as 127.0.0.1:8100',
    );
  return setting('list', z.array(item, 'must be a list of texts').readonly(), [], description);
}

/** Texts by name; in an environment variable `name:text,name:text`. */
export function textMap(
  value: Readonly<Record<string, string>>,
  description: string,
  extras?: Extras,
): Setting<Readonly<Record<string, string>>> {
  const schema = z.record(z.string(), z.string('must be a text'), 'must be names with texts, such as a:x,b:y');
  return setting('map', schema.readonly(), value, description, extras);
}

/** An amount as Kubernetes writes it: `50m`, `64Mi`; '' is none. */
export function quantity(value: string, description: string, extras?: Extras): Setting<string> {
  const schema = z
    .string('must be a text')
    .regex(/^(\d+(\.\d+)?([munkKMGTP]|[KMGTP]i)?)?$/, 'must be an amount such as 50m, 1, 64Mi');
  return setting('text', schema, value, description, extras);
}

export function oneOf<const Choice extends string>(
  value: NoInfer<Choice>,
  choices: readonly Choice[],
  description: string,
  extras?: Extras,
): Setting<Choice> {
  const words = choices.map((choice) => (choice === '' ? '""' : choice)).join(', ');
  const schema = z.enum(choices as readonly [Choice, ...Choice[]], `must be one of: ${words}`);
  return { ...setting<Choice>('text', schema, value, description, extras), choices };
}

/** A list of objects; only a configuration file can hold it, and an environment variable, as JSON, where its name is given. */
export function objects<T>(item: z.ZodType<T>, description: string, extras?: Extras): Setting<readonly T[]> {
  return setting('objects', z.array(item, 'must be a list').readonly(), [], description, extras);
}

export function isSetting(node: Setting<unknown> | SettingTree): node is Setting<unknown> {
  return node['kind'] === 'setting' && typeof node['form'] === 'string';
}

/** A setting with its place. */
export interface PlacedSetting {
  /** Dotted path as in YAML: `apiServer.http.port`. */
  readonly path: string;
  /** Environment variable; `undefined` for lists of objects that have none. */
  readonly env: string | undefined;
  readonly setting: Setting<unknown>;
}

/** Every leaf in the tree's order. */
export function placedSettings(tree: SettingTree, prefix = ''): readonly PlacedSetting[] {
  return Object.entries(tree).flatMap(([key, node]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (!isSetting(node)) return placedSettings(node, path);
    return [{ path, env: node.env ?? (node.form === 'objects' ? undefined : envNameOf(path)), setting: node }];
  });
}

/**
 * `apiServer.http.tlsCertFile` becomes `KUMA_API_SERVER_HTTP_TLS_CERT_FILE`; Weft's own section has its own prefix: `weft.log.level`
 * becomes `WEFT_LOG_LEVEL`. Source of the rule: Kuma 2.11-2.14 `envconfig` names.
 */
export function envNameOf(path: string): string {
  const words = path.split('.').map((key) =>
    key
      .replace(/([A-Z])([A-Z]+)s$/, (whole) => whole.charAt(0) + whole.slice(1).toLowerCase())
      .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
      .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
      .toUpperCase(),
  );
  return words[0] === 'WEFT' ? words.join('_') : `KUMA_${words.join('_')}`;
}

/** Go's way to print a duration: `1h30m0s`, `10s`, `500ms`, `0s`. Source: Go `time.Duration.String`. */
export function formatGoDuration(ms: number): string {
  if (ms === 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1000;
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
