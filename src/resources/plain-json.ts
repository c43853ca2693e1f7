/** Nesting of input deeper than this is refused: no resource comes near, and every later walk may recurse. */
const MAX_DEPTH = 64;

/**
 * Why `value` is not plain JSON data that is safe to walk and copy; `undefined` when it is. Refuses nesting beyond `MAX_DEPTH`,
 * numbers JSON has no form for, the key `__proto__`, and anything that is not null, boolean, number, string, list or object.
 */
export function plainJsonProblem(value: unknown): string | undefined {
  const queue: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 0 }];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { value: entry, depth } = next;
    if (entry === null || typeof entry === 'string' || typeof entry === 'boolean') continue;
    if (typeof entry === 'number') {
      if (!Number.isFinite(entry)) return `number ${entry} has no JSON form`;
      continue;
    }
    if (typeof entry !== 'object') return `a ${typeof entry} is no JSON value`;
    if (depth >= MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    if (!Array.isArray(entry) && Object.hasOwn(entry, '__proto__')) return 'key "__proto__" is not allowed';
    for (const child of Array.isArray(entry) ? entry : Object.values(entry)) {
      if (child !== undefined) queue.push({ value: child, depth: depth + 1 });
    }
  }
  return undefined;
}

/** True for a JSON object: not null, not a list. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
