/** Reads Envoy's NACK text for the resources it is about. */

/** A character that can be part of a resource name, so that `api` is not found inside `api-2`. */
const NAME_CHARACTER = /[\w.\-/]/;

/**
 * Those of `names` that `message` mentions as whole words. Envoy's CDS and LDS list each refused resource by name, and its
 * validation errors print the message with its `name`. Empty when the text names none of them: then any may be at fault.
 */
export function mentionedNames(message: string, names: Iterable<string>): string[] {
  const found: string[] = [];
  for (const name of names) if (mentions(message, name)) found.push(name);
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
