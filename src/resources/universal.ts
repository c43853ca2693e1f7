import type { Kind } from './kind.ts';
import { kriOf } from './kri.ts';
import { ResourceParseError } from './parse-error.ts';
import { isJsonObject, plainJsonProblem } from './plain-json.ts';
import type { Resource } from './resource.ts';
import { malformed, parseSpec, parseStatus, specJson } from './spec-parse.ts';

/** A body, read: the resource, and the `type` it claims, which may be another kind's or '' (stage c of a PUT compares). */
export interface ParsedBody {
  readonly resource: Resource;
  readonly type: string;
}

/**
 * A resource of `kind` from its Universal form, as REST and files hold it. Name and mesh are taken as they are ('' when absent);
 * times and version of the input are ignored: the store sets them. Throws `ResourceParseError`.
 */
export function parseUniversal(kind: Kind, body: unknown): ParsedBody {
  const problem = plainJsonProblem(body);
  if (problem !== undefined) throw malformed(kind.type, problem);
  if (!isJsonObject(body)) throw malformed(kind.type, 'expected an object');
  const type = metaText(kind, body, 'type');
  if (kind.model === 'spec' && type !== kind.type) {
    throw invalidAboveSpec(kind, `type in body should be one of [${kind.type}]`);
  }
  if (kind.model === 'spec' && (body['spec'] ?? undefined) === undefined)
    throw invalidAboveSpec(kind, '.spec in body is required');
  const spec = parseSpec(kind, kind.model === 'inline' ? body : body['spec']);
  const status = parseStatus(kind, body['status']);
  const meta = {
    mesh: kind.scope === 'Mesh' ? metaText(kind, body, 'mesh') : '',
    name: metaText(kind, body, 'name'),
    labels: metaLabels(kind, body['labels']),
    creationTime: '',
    modificationTime: '',
    version: '',
  };
  const resource: Resource = { type: kind.type, meta, spec };
  return { resource: status === undefined ? resource : { ...resource, status }, type };
}

/**
 * The object REST answers with: `type, mesh?, name, creationTime, modificationTime, labels?, kri?`, then the spec, inline or under
 * `spec`, and `status`. Key order is part of what people read.
 */
export function toUniversal(kind: Kind, resource: Resource): Readonly<Record<string, unknown>> {
  const { mesh, name, labels, creationTime, modificationTime } = resource.meta;
  const kri = kriOf(kind.shortName, resource);
  const spec = specJson(kind, resource.spec);
  return {
    type: kind.type,
    ...(mesh === '' ? {} : { mesh }),
    name,
    ...(creationTime === '' ? {} : { creationTime }),
    ...(modificationTime === '' ? {} : { modificationTime }),
    ...(Object.keys(labels).length === 0 ? {} : { labels: sorted(labels) }),
    ...(kri === '' ? {} : { kri }),
    ...(kind.model === 'inline' ? spec : { spec }),
    ...(kind.statusSchema === undefined ? {} : { status: resource.status ?? {} }),
  };
}

function metaText(kind: Kind, body: Readonly<Record<string, unknown>>, field: 'type' | 'mesh' | 'name'): string {
  const value = body[field];
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (kind.model === 'inline') throw malformed(kind.type, `${field}: expected a string, got ${typeof value}`);
  throw invalidAboveSpec(
    kind,
    `${field} in body must be of type string: "${Array.isArray(value) ? 'array' : typeof value}"`,
  );
}

function invalidAboveSpec(kind: Kind, message: string): ResourceParseError {
  return new ResourceParseError('invalid', `invalid ${kind.type} object: ${message}`, [{ field: '', message }]);
}

/** Labels of a Universal or Kubernetes object: strings only. */
export function metaLabels(kind: Kind, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value)) throw malformed(kind.type, 'labels: expected an object');
  const out: Record<string, string> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string')
      throw malformed(kind.type, `labels["${key}"]: expected a string, got ${typeof entry}`);
    out[key] = entry;
  }
  return out;
}

function sorted(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
