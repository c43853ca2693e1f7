import type { Violation } from '../resource.ts';

/** Where a certificate, key or token comes from. Exactly one is set. Source: Kuma 2.11 `system.v1alpha1.DataSource`. */
export interface DataSource {
  readonly secret?: string;
  readonly file?: string;
  /** base64 */
  readonly inline?: string;
  readonly inlineString?: string;
}

const SOURCES = ['secret', 'inline', 'file', 'inlineString'] as const;

/**
 * Static check of a data source standing at `path`: exactly one source, not empty. Whether it can be loaded is not asked.
 * `value` is as found in a free `conf`, hence unknown.
 */
export function validateDataSource(value: unknown, path: string): readonly Violation[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [{ field: path, message: NOTHING_CHOSEN }];
  }
  const source = value as Readonly<Record<string, unknown>>;
  const chosen = SOURCES.filter((name) => source[name] !== undefined && source[name] !== null);
  if (chosen.length === 0) return [{ field: path, message: NOTHING_CHOSEN }];
  if (chosen.length > 1)
    return [{ field: path, message: `only one source can be chosen, found: ${chosen.join(', ')}` }];
  const name = chosen[0]!;
  const content = source[name];
  if (typeof content !== 'string') return [{ field: `${path}.${name}`, message: 'has to be a string' }];
  if (content === '') return [{ field: `${path}.${name}`, message: 'cannot be empty' }];
  if (name === 'inline' && !isBase64(content)) return [{ field: `${path}.inline`, message: 'has to be base64' }];
  return [];
}

const NOTHING_CHOSEN = 'data source has to be chosen. Available sources: secret, file, inline';

/** True for padded standard base64 (line breaks allowed, as YAML block text brings them). */
function isBase64(content: string): boolean {
  const packed = content.replace(/\s+/g, '');
  return packed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packed);
}
