/**
 * The JSON form of `value` as a deeply frozen copy: `undefined` members are dropped, `toJSON` is honoured, as `JSON.stringify` does.
 * `old` must come from here too. Parts equal to the same part of `old` are that very part, so `spec === oldSpec` says "not changed".
 */
export function frozenJson<T>(value: T, old?: unknown): T;
export function frozenJson(value: unknown, old?: unknown): unknown {
  if (typeof value !== 'object' || value === null) return scalar(value);
  if (value === old) return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return frozenJson(value.toJSON(), old);
  return Array.isArray(value) ? frozenArray(value, old) : frozenObject(value, old);
}

/** Freezes a value fresh from `JSON.parse` in place, all the way down, and returns it. */
export function freezeParsed<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) freezeParsed(inner);
  return Object.freeze(value);
}

function scalar(value: unknown): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'bigint':
      throw new TypeError('a bigint has no JSON form');
    case 'function':
    case 'symbol':
      return undefined;
    default:
      return value;
  }
}

function frozenArray(value: readonly unknown[], old: unknown): readonly unknown[] {
  const oldItems = Array.isArray(old) ? old : undefined;
  let same = oldItems !== undefined && oldItems.length === value.length;
  const out: unknown[] = new Array(value.length);
  for (let index = 0; index < value.length; index += 1) {
    const oldItem: unknown = oldItems?.[index];
    const item = frozenJson(value[index], oldItem) ?? null;
    if (item !== oldItem) same = false;
    out[index] = item;
  }
  return same ? oldItems! : Object.freeze(out);
}

function frozenObject(value: object, old: unknown): object {
  const oldMembers = isPlain(old) ? old : undefined;
  const out: Record<string, unknown> = {};
  let same = oldMembers !== undefined;
  let size = 0;
  for (const [name, member] of Object.entries(value)) {
    const oldMember = oldMembers !== undefined && Object.hasOwn(oldMembers, name) ? oldMembers[name] : undefined;
    const frozen = frozenJson(member, oldMember);
    if (frozen === undefined) continue;
    if (frozen !== oldMember) same = false;
    size += 1;
    // A plain assignment to `__proto__` would set the prototype instead of a member.
    if (name === '__proto__') Object.defineProperty(out, name, { value: frozen, enumerable: true, configurable: true });
    else out[name] = frozen;
  }
  return same && Object.keys(oldMembers!).length === size ? oldMembers! : Object.freeze(out);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
