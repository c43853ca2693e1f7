import { nearest } from '../lib/nearest.ts';
import type { PlacedSetting } from './config-setting.ts';

/** Environment variables of Kuma's other programs and of their run-time, which a control plane may find beside its own. Source: Kuma 2.11-2.14 `kuma-dp`. */
const NOT_OURS = [
  /^KUMA_(DATAPLANE|CONTROL_PLANE|READINESS|TRANSPARENT_PROXY|DP)_(?!SERVER_)/,
  /^KUMA_DNS_(?!SERVER_)/,
  /^KUMA_APPLICATION_PROBE_PROXY_/,
  /** What Kubernetes sets for each Service whose name starts with `kuma-`. */
  /_(SERVICE_(HOST|PORT(_.*)?)|PORT_[0-9]+_(TCP|UDP)(_.*)?)$/,
];

export interface EnvProblem {
  readonly name: string;
  readonly suggestion: string | undefined;
}

/**
 * Variables that look like a key of the control plane and are none: every unknown `KUMA_*`, and unknown names in a section of `WEFT_*`.
 * `known` is every accepted name, those without effect included.
 */
export function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  known: ReadonlySet<string>,
): readonly EnvProblem[] {
  const sections = new Set([...known].filter((name) => name.startsWith('WEFT_')).map(sectionOf));
  return Object.keys(env)
    .filter((name) => name.startsWith('KUMA_') || (name.startsWith('WEFT_') && sections.has(sectionOf(name))))
    .filter((name) => env[name] !== undefined && !known.has(name) && !env[name].startsWith('tcp://'))
    .filter((name) => !NOT_OURS.some((pattern) => pattern.test(name)))
    .sort()
    .map((name) => ({ name, suggestion: nearest(name, known) }));
}

function sectionOf(name: string): string {
  return name.split('_').slice(0, 2).join('_');
}

/**
 * The value of a setting out of its variable, in the form a YAML file would give it. `undefined`: not set, or empty where an empty value says nothing.
 * Text that has the wrong form comes back as it is: the setting's schema then refuses it.
 */
export function envValue(placed: PlacedSetting, env: Readonly<Record<string, string | undefined>>): unknown {
  const raw = placed.env === undefined ? undefined : env[placed.env];
  if (raw === undefined) return undefined;
  switch (placed.setting.form) {
    case 'text':
      return raw;
    case 'list':
      return raw === '' ? [] : raw.split(',').map((item) => item.trim());
    case 'duration':
      return raw === '' ? undefined : raw;
    case 'number':
      return raw.trim() === '' ? undefined : Number.isNaN(Number(raw)) ? raw : Number(raw);
    case 'flag':
      return raw === '' ? undefined : (FLAGS[raw.toLowerCase()] ?? raw);
    case 'map':
      return raw === '' ? {} : mapOf(raw);
    case 'objects':
      return raw === '' ? [] : jsonOf(raw);
  }
}

/** `a:x,b:y`. A part without `:` gives the text itself, which the schema refuses. Source: Go `envconfig`. */
function mapOf(raw: string): unknown {
  const pairs = raw
    .split(',')
    .map((pair) => [pair.slice(0, pair.indexOf(':')).trim(), pair.slice(pair.indexOf(':') + 1)]);
  return raw.split(',').every((pair) => pair.indexOf(':') > 0) ? Object.fromEntries(pairs) : raw;
}

/** Text that is no JSON comes back as it is. */
function jsonOf(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return raw;
  }
}

/** Source: Go `strconv.ParseBool`. */
const FLAGS: Readonly<Record<string, boolean>> = { '1': true, t: true, true: true, '0': false, f: false, false: false };
