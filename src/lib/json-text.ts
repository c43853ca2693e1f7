/** Nesting of the deepest real resource is below 20; the parser itself could go far deeper, what walks the value after it could not. */
export const MAX_JSON_DEPTH = 100;

/** A body that is no JSON we take. The message holds nothing of its content. */
export class JsonTextError extends Error {
  readonly code = 'json-text';
  constructor(message: string) {
    super(message);
    this.name = 'JsonTextError';
  }
}

/**
 * Parses a request body. Throws `JsonTextError` for: bytes that are not UTF-8, text that is not JSON, nesting deeper than `MAX_JSON_DEPTH`;
 * the key `__proto__`, which no resource has and which code further down could take for more than a key; and what can't be stored and
 * read again everywhere: numbers beyond a double, NUL and halves of surrogate pairs in texts.
 */
export function parseJsonText(bytes: Buffer): unknown {
  if (bytes.length === 0) throw new JsonTextError('read the body: it is empty, JSON is needed');
  const text = decode(bytes);
  if (isDeeperThan(text, MAX_JSON_DEPTH))
    throw new JsonTextError(`read the body: it is nested deeper than ${MAX_JSON_DEPTH} levels`);
  try {
    return JSON.parse(text, (key, value) => {
      if (key === '__proto__') throw new JsonTextError('read the body: key "__proto__" is not accepted');
      if (!isStorable(key) || !isStorable(value)) {
        throw new JsonTextError('read the body: a text holds NUL or half a surrogate pair, or a number is too large');
      }
      return value;
    });
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new JsonTextError(`read the body: not JSON: ${withoutContent(error.message)}`);
    throw error;
  }
}

function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed();
  return typeof value !== 'number' || Number.isFinite(value);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new JsonTextError('read the body: it is not UTF-8');
  }
}

/** Counts brackets outside strings; linear, before anything is built. */
function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === 0x5c) i++;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x7b || char === 0x5b) {
      if (++depth > limit) return true;
    } else if (char === 0x7d || char === 0x5d) depth--;
  }
  return false;
}

/** V8's message quotes the text around the error, which may be a secret; the position is enough. */
function withoutContent(message: string): string {
  const position = /at position \d+(?: \(line \d+ column \d+\))?/.exec(message)?.[0];
  return position ? `unexpected text ${position}` : 'it ends too early or holds no value';
}
