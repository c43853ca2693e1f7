/**
 * Reads Envoy's NACK text for the resources it is about. What the texts mean was tried on Envoy 1.40:
 * - `Error adding/updating cluster(s) a: ...` (CDS, LDS): the named ones are refused, everything else of the response is in force;
 * - `goo.gle/debugproto name: "a" ...: Proto constraint validation failed` (any type): the whole response is dropped because of this one.
 */

/** True when the text says that the unnamed rest of the response is in force. Source: Envoy `cds_api_helper.cc`, `lds_api.cc`. */
export function appliedTheRest(message: string): boolean {
  return /^Error adding\/updating (?:cluster|listener)\(s\)/.test(message);
}

/** A character that can be part of a resource name, so that `api` is not found inside `api-2`. */
const NAME_CHARACTER = /[\w.\-/]/;

/**
 * Those of `names` that `message` is about: the one whose text form it prints, else all that it mentions as whole words.
 * Empty when it names none of them: then any may be at fault.
 */
export function refusedNames(message: string, names: Iterable<string>): string[] {
  const known = new Set(names);
  // Unindented, so a field of the resource itself. Spaces vary on purpose in this form.
  const printed = /^(?:cluster_)?name:\s*"([^"]*)"/m.exec(message)?.[1];
  if (message.includes('debugproto') && printed !== undefined && known.has(printed)) return [printed];
  const found: string[] = [];
  for (const name of known) if (mentions(message, name)) found.push(name);
  return found;
}

function mentions(message: string, name: string): boolean {
  if (name === '') return false;
  for (let at = message.indexOf(name); at >= 0; at = message.indexOf(name, at + 1)) {
    const before = message[at - 1] ?? ' ';
    const end = at + name.length;
    const after = message[end] ?? ' ';
    const afterColon = message[end + 1] ?? ' ';
    const endsSentence = after === '.' && !NAME_CHARACTER.test(afterColon);
    const startsFresh = !NAME_CHARACTER.test(before) && before !== ':';
    const endsFresh = endsSentence || (after === ':' ? !NAME_CHARACTER.test(afterColon) : !NAME_CHARACTER.test(after));
    if (startsFresh && endsFresh) return true;
  }
  return false;
}
