import { DataplaneError, messageOf } from './error.ts';

/** What the launcher itself needs of a Dataplane resource; the control plane validates the rest. */
export interface ResourceIdentity {
  readonly type: string;
  readonly mesh: string;
  readonly name: string;
}

/**
 * Puts `variables` into a Dataplane template: `{{ name }}`, blanks optional. Source: `kuma-dp run --dataplane-var`.
 * Throws `dataplane_invalid` naming every variable that has no value.
 */
export function fillVariables(template: string, variables: Readonly<Record<string, string>>): string {
  const missing = new Set<string>();
  const text = template.replace(/\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}/g, (_, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value === undefined) missing.add(name);
    return value ?? '';
  });
  if (missing.size > 0) {
    const names = [...missing].sort();
    throw new DataplaneError(
      'dataplane_invalid',
      `fill in the Dataplane template: no value for ${names.join(', ')}; add ${names.map((name) => `-v ${name}=…`).join(' ')}`,
    );
  }
  return text;
}

const PLAIN_LINE = /^(type|mesh|name):[ \t]+(?:([A-Za-z][A-Za-z0-9._-]*)|"([^"\\]*)"|'([^']*)')[ \t]*(?:#.*)?\r?$/;

/**
 * Type, mesh and name of a Dataplane resource in YAML or JSON. Plain top-level lines are read as they stand; any other form is
 * given to the YAML library, which costs 8 MB and so is loaded only then. A missing mesh is `default`.
 * Throws `dataplane_invalid`.
 */
export async function readResourceIdentity(text: string): Promise<ResourceIdentity> {
  const found = readPlainIdentity(text) ?? (await parseIdentity(text));
  if (!found['type'])
    throw new DataplaneError(
      'dataplane_invalid',
      'read the Dataplane resource: type is missing; add "type: Dataplane"',
    );
  if (!found['name'])
    throw new DataplaneError(
      'dataplane_invalid',
      'read the Dataplane resource: name is missing; add "name: <proxy name>"',
    );
  return { type: found['type'], name: found['name'], mesh: found['mesh'] || 'default' };
}

/** `undefined` when the text is not in the plain form, so that a real parser must look at it. */
function readPlainIdentity(text: string): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (/^(?:\s|#|-|\r?$)/.test(line)) {
      if (line.startsWith('-')) return undefined;
      continue;
    }
    if (/^[A-Za-z][A-Za-z0-9]*:/.test(line) === false) return undefined;
    if (!/^(?:type|mesh|name):/.test(line)) continue;
    const match = PLAIN_LINE.exec(line);
    if (!match || found[match[1]!] !== undefined) return undefined;
    found[match[1]!] = match[2] ?? match[3] ?? match[4] ?? '';
  }
  return found;
}

async function parseIdentity(text: string): Promise<Record<string, string>> {
  let parsed: unknown = parseJson(text);
  if (parsed === undefined) {
    const { parse } = await import('yaml');
    try {
      parsed = parse(text);
    } catch (error) {
      const reason = messageOf(error).split('\n')[0];
      throw new DataplaneError('dataplane_invalid', `read the Dataplane resource: not YAML or JSON: ${reason}`, {
        cause: error,
      });
    }
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new DataplaneError(
      'dataplane_invalid',
      'read the Dataplane resource: expected an object with type, mesh, name and networking',
    );
  }
  const found: Record<string, string> = {};
  for (const key of ['type', 'mesh', 'name']) {
    const value: unknown = (parsed as Record<string, unknown>)[key];
    if (typeof value === 'string') found[key] = value;
  }
  return found;
}

function parseJson(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
