/** Cuts a byte stream into lines without copying each chunk more than once. No imports: the launcher loads this too. */
export interface LineReader {
  /** Lines that ended in `chunk`; `undefined` when one is longer than the limit: nothing more is read then. */
  take(chunk: Uint8Array): readonly string[] | undefined;
}

export function createLineReader(maxBytes: number): LineReader {
  let parts: Uint8Array[] = [];
  let size = 0;
  return {
    take(chunk) {
      const lines: string[] = [];
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        parts.push(chunk.subarray(start, end));
        size += end - start;
        if (size > maxBytes) return undefined;
        lines.push(Buffer.concat(parts).toString('utf8'));
        parts = [];
        size = 0;
        start = end + 1;
      }
      parts.push(chunk.subarray(start));
      size += chunk.length - start;
      return size > maxBytes ? undefined : lines;
    },
  };
}
