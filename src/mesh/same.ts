/** True when two JSON values (no cycles, `undefined` fields count as absent) hold the same. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index]));
  }
  return sameFields(a, b) && sameFields(b, a, true);
}

function sameFields(a: object, b: object, onlyPresence = false): boolean {
  for (const [key, value] of Object.entries(a)) {
    if (value === undefined) continue;
    const other: unknown = Object.hasOwn(b, key) ? Reflect.get(b, key) : undefined;
    if (onlyPresence ? other === undefined : !sameJson(value, other)) return false;
  }
  return true;
}
