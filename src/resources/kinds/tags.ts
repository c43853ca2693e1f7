import type { Violation } from '../resource.ts';

export const SERVICE_TAG = 'kuma.io/service';
export const ZONE_TAG = 'kuma.io/zone';
export const PROTOCOL_TAG = 'kuma.io/protocol';

const TAG_NAME = /^[a-zA-Z0-9.\-_:/]*$/;
const TAG_VALUE = /^[a-zA-Z0-9.\-_:]*$/;
const SELECTOR_VALUE = /^([a-zA-Z0-9.\-_:/]*|\*)$/;

type Tags = Readonly<Record<string, string>>;

/** Violations of the tags standing at `path`, keys in order. `extra` adds its own, before the others. */
export function validateTags(
  path: string,
  tags: Tags | undefined,
  options: { requireService?: boolean; extra?: (tags: Tags) => readonly Violation[] } = {},
): readonly Violation[] {
  return check(
    path,
    tags ?? {},
    TAG_VALUE,
    'tag value must consist of alphanumeric characters, dots, dashes and underscores',
    options,
  );
}

/** The same for a selector, where a value may be `*`. */
export function validateSelector(
  path: string,
  tags: Tags | undefined,
  options: { requireOne?: boolean } = {},
): readonly Violation[] {
  const found = check(
    path,
    tags ?? {},
    SELECTOR_VALUE,
    'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"',
    {},
  );
  const empty = Object.keys(tags ?? {}).length === 0;
  return options.requireOne === true && empty
    ? [{ field: path, message: 'must have at least one tag' }, ...found]
    : found;
}

function check(
  path: string,
  tags: Tags,
  valuePattern: RegExp,
  valueMessage: string,
  options: { requireService?: boolean; extra?: (tags: Tags) => readonly Violation[] },
): readonly Violation[] {
  const out: Violation[] = [...(options.extra?.(tags) ?? [])];
  for (const key of Object.keys(tags).sort()) {
    const field = `${path}["${key}"]`;
    const value = tags[key]!;
    if (key === '') out.push({ field: path, message: 'tag name must be non-empty' });
    if (!TAG_NAME.test(key)) {
      out.push({
        field,
        message: 'tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores',
      });
    }
    if (value === '') out.push({ field, message: 'tag value must be non-empty' });
    if (!valuePattern.test(value)) out.push({ field, message: valueMessage });
  }
  if (options.requireService === true && !Object.hasOwn(tags, SERVICE_TAG)) {
    out.push({ field: path, message: `mandatory tag "${SERVICE_TAG}" is missing` });
  }
  return out;
}
