/** RFC 6902, as far as this program uses it: add, replace, remove, test. Throws when a step does not fit. */
export function applyJsonPatch(document: unknown, patch: readonly JsonPatchStep[]): unknown {
  let root = structuredClone(document);
  for (const { op, path, value } of patch) {
    const keys = path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop();
    if (last === undefined) {
      root = value;
      continue;
    }
    const parent = keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], root);
    if (typeof parent !== 'object' || parent === null) throw new Error(`${op} ${path}: nothing is there`);
    const there = parent as Record<string, unknown>;
    if (op !== 'add' && !Object.hasOwn(there, last)) throw new Error(`${op} ${path}: nothing is there`);
    if (op === 'test') {
      if (JSON.stringify(there[last]) !== JSON.stringify(value)) throw new Error(`test ${path}: it is something else`);
    } else if (Array.isArray(parent) && op !== 'replace') {
      parent.splice(Number(last), op === 'remove' ? 1 : 0, ...(op === 'remove' ? [] : [value]));
    } else if (op === 'remove') delete there[last];
    else there[last] = value;
  }
  return root;
}

export interface JsonPatchStep {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}
