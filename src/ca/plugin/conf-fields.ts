/** What a plug-in's schema marks in a `conf`: data sources, which the control plane reads for it, and addresses, which it judges. */

import { validateDataSource } from '../../resources/kinds/data-source.ts';
import type { Violation } from '../../resources/resource.ts';
import type { BackendConfig, CaDependencies } from '../backend.ts';
import { loadDataSource } from '../data-source.ts';
import { fieldOf } from './conf-schema.ts';

/** `DATA_SOURCE` of `sdk/src/plugin.ts`, which a test compares. */
export const DATA_SOURCE_KEYWORD = 'x-weft-data-source';

type Schema = Readonly<Record<string, unknown>>;

/** A `conf` as the plug-in gets it. */
export interface ReadConf {
  /** Data sources are texts; one that could not be read is ''. */
  readonly conf: Readonly<Record<string, unknown>>;
  /** Under `path`. */
  readonly violations: readonly Violation[];
  /** The texts that were read. Never logged. */
  readonly secrets: readonly string[];
}

interface MarkedField {
  readonly path: readonly (string | number)[];
  readonly mark: 'data-source' | 'uri';
  readonly value: unknown;
}

/** Reads the data sources of `config.conf` that `schema` marks, and no others. `path` is `mtls.backends[i].conf`. */
export async function readConf(
  config: BackendConfig,
  schema: Schema,
  path: string,
  deps: CaDependencies,
): Promise<ReadConf> {
  const conf = structuredClone(config.conf) as Record<string, unknown>;
  const violations: Violation[] = [];
  const secrets: string[] = [];
  for (const field of markedFields(schema, config.conf)) {
    const at = `${path}.${fieldOf(field.path)}`;
    if (field.mark === 'uri') {
      const problem = typeof field.value === 'string' ? deps.egress.urlProblem(field.value) : undefined;
      if (problem !== undefined) violations.push({ field: at, message: problem });
      continue;
    }
    const text = await readText(config.mesh, field.value, at, violations, deps);
    if (text !== '') secrets.push(text);
    replace(conf, field.path, text);
  }
  return { conf, violations, secrets };
}

async function readText(
  mesh: string,
  value: unknown,
  at: string,
  violations: Violation[],
  deps: CaDependencies,
): Promise<string> {
  const problems = validateDataSource(value, at);
  violations.push(...problems);
  if (problems.length > 0) return '';
  try {
    return (await loadDataSource(mesh, value, deps)).toString('utf8');
  } catch (error) {
    violations.push({ field: at, message: error instanceof Error ? error.message : 'could not load data' });
    return '';
  }
}

/** Names of the Secrets in a `conf`: every `{secret: NAME}`, also where the schema, which may not be known yet, marks none. */
export function secretsIn(conf: unknown): readonly string[] {
  if (typeof conf !== 'object' || conf === null) return [];
  const name = 'secret' in conf ? conf.secret : undefined;
  const own = typeof name === 'string' && name !== '' ? [name] : [];
  return [...new Set([...own, ...Object.values(conf).flatMap(secretsIn)])];
}

/** The fields of `value` that `schema` marks, along `properties`, `items` and combinations; not behind a `$ref`. */
function markedFields(
  schema: unknown,
  value: unknown,
  path: readonly (string | number)[] = [],
): readonly MarkedField[] {
  if (!isObject(schema) || value === undefined || value === null) return [];
  if (schema[DATA_SOURCE_KEYWORD] === true) return [{ path, mark: 'data-source', value }];
  if (schema['format'] === 'uri') return [{ path, mark: 'uri', value }];
  const combined = ['allOf', 'anyOf', 'oneOf'].flatMap((key) => (Array.isArray(schema[key]) ? schema[key] : []));
  const inner = combined.flatMap((one) => markedFields(one, value, path));
  if (Array.isArray(value)) {
    inner.push(...value.flatMap((item, index) => markedFields(schema['items'], item, [...path, index])));
  } else if (isObject(value)) {
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    for (const [key, item] of Object.entries(value)) {
      const known = Object.hasOwn(properties, key) ? properties[key] : schema['additionalProperties'];
      inner.push(...markedFields(known, item, [...path, key]));
    }
  }
  const seen = new Set<string>();
  return inner.filter((field) => !seen.has(fieldOf(field.path)) && seen.add(fieldOf(field.path)));
}

function replace(conf: Record<string, unknown>, path: readonly (string | number)[], text: string): void {
  let at: unknown = conf;
  for (const key of path.slice(0, -1)) at = (at as Record<string | number, unknown>)[key];
  (at as Record<string | number, unknown>)[path.at(-1)!] = text;
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
