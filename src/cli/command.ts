import { parseGoDuration } from '../lib/duration.ts';
import { usageError } from './errors.ts';
import type { CliIo } from './io.ts';

export interface ArgumentSpec {
  /** `<type>`, `[name]`. */
  readonly name: string;
  readonly description: string;
}

export interface OptionSpec {
  /** `-f, --file <path>` */
  readonly flags: string;
  readonly description: string;
  /** Shown in help and documentation; commands fill it in themselves. */
  readonly default?: string;
  readonly choices?: readonly string[];
  /** May be given several times; the value is a list. */
  readonly repeat?: boolean;
  readonly required?: boolean;
  /** Accepted and not shown: an old name. */
  readonly hidden?: boolean;
}

/** One command: what commander, the reference page and completion know of it. `load` brings in the code only when it runs. */
export interface CommandSpec {
  /** `generate dataplane-token` */
  readonly path: string;
  readonly summary: string;
  /** Further sentences for help and documentation. */
  readonly details?: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Pairs of what it does and the command line. */
  readonly examples: readonly (readonly [what: string, line: string])[];
  readonly load: () => Promise<CommandModule>;
}

export interface CommandModule {
  readonly run: (invocation: Invocation) => Promise<void>;
}

export type OptionValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** One call of a command. */
export interface Invocation {
  /** Positional arguments in order; those left out are `undefined`. */
  readonly args: readonly (string | undefined)[];
  /** Options by camelCase name, global ones included. */
  readonly options: OptionValues;
  readonly io: CliIo;
}

/** Value of an option as given, `undefined` when absent. */
export function textOption({ options }: Invocation, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function flagOption({ options }: Invocation, name: string): boolean {
  return options[name] === true;
}

/** Values of a repeatable option; each may itself be a comma-separated list. */
export function listOption({ options }: Invocation, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.flatMap((one: string) => one.split(',')).filter((one) => one !== '') : [];
}

/**
 * `key=value` pairs of a repeatable option. One value may hold several pairs, `a=1,b=2`; a comma without a new pair belongs to the value,
 * `a=1,2`. Throws a usage error for a pair without `=`.
 */
export function mapOption({ options }: Invocation, name: string): Readonly<Record<string, string>> {
  const value = options[name];
  const pairs: Record<string, string> = {};
  for (const given of Array.isArray(value) ? value : []) {
    for (const pair of String(given).split(/,(?=[^,=]+=)/)) {
      const at = pair.indexOf('=');
      if (at < 1) throw usageError(`--${name}: "${pair}" has no =`, `give it as --${name} key=value`);
      pairs[pair.slice(0, at)] = pair.slice(at + 1);
    }
  }
  return pairs;
}

/** Milliseconds of a Go duration option. Throws a usage error when malformed or negative. */
export function durationOption(invocation: Invocation, name: string, flag: string): number | undefined {
  const value = textOption(invocation, name);
  if (value === undefined) return undefined;
  const ms = parseGoDuration(value);
  if (ms === undefined || ms < 0)
    throw usageError(`--${flag}: "${value}" is not a duration`, 'give it as 10s, 24h or 1h30m');
  return ms;
}

/** Mesh of the call: `--mesh` or `default`. */
export function meshOf(invocation: Invocation): string {
  return textOption(invocation, 'mesh') ?? 'default';
}
