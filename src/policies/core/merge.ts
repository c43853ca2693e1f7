type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * Confs merged in ascending precedence, the later over the former: RFC 7396 JSON merge patch, where objects merge, `null` removes,
 * and everything else replaces; but lists in fields whose name starts with `append` are concatenated. `undefined` for no conf.
 * The inputs are not changed; parts of them may be shared with the result. Source: Kuma 2.11 `rules/merge`.
 */
export function mergeConfs<T>(confs: readonly T[]): T | undefined {
  if (confs.length === 0) return undefined;
  // Confs are plain JSON by their schemas; merging keeps their type, since every field keeps its own.
  return confs
    .slice(1)
    .reduce<Json>((merged, conf) => mergePatch(merged, conf as Json), withoutNulls(confs[0] as Json)) as T;
}

/** RFC 7396 section 2, with the `append` exception. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const base = isObject(target) ? target : {};
  const out: Record<string, Json> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    const old = Object.hasOwn(out, key) ? out[key] : undefined;
    if (value === null) delete out[key];
    else if (key.startsWith('append') && Array.isArray(value) && Array.isArray(old)) out[key] = [...old, ...value];
    else out[key] = mergePatch(old ?? null, value);
  }
  return out;
}

function withoutNulls(conf: Json): Json {
  return isObject(conf) ? mergePatch({}, conf) : conf;
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
