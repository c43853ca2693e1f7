import { errorOfStatus } from './answer-error.ts';
import { KubeError, type WatchEvent } from './client.ts';
import type { KubeObject } from './object.ts';

/**
 * The events of a watch: one JSON object a line. Lines may be cut anywhere between chunks. Throws the `KubeError` of an `ERROR` event
 * (`gone`: the resource version is too old). A last line without an end is dropped: the connection broke in it.
 */
export async function* parseWatch<T extends KubeObject>(
  what: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent<T>> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const event = line.trim() === '' ? undefined : parseEvent<T>(what, line);
      if (event !== undefined) yield event;
    }
  }
}

/** `undefined`: of a type that we do not know. */
function parseEvent<T extends KubeObject>(what: string, line: string): WatchEvent<T> | undefined {
  const { type, object } = parseLine<T>(what, line);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object };
    case 'BOOKMARK':
      return { type, resourceVersion: object.metadata.resourceVersion ?? '' };
    case 'ERROR':
      throw errorOfStatus(what, object);
    default:
      return undefined;
  }
}

function parseLine<T>(what: string, line: string): { readonly type: string; readonly object: T } {
  try {
    // The API server's own format: type and object.
    return JSON.parse(line) as { type: string; object: T };
  } catch (error) {
    throw new KubeError('unavailable', `${what}: an event is no JSON`, { cause: error });
  }
}
