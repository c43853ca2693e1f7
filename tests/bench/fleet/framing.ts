/** gRPC message framing over one HTTP/2 stream. Source: gRPC over HTTP/2, "Length-Prefixed-Message". */

const HEAD = 5;

export function frame(message: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(HEAD + message.length);
  out[0] = 0;
  out.writeUInt32BE(message.length, 1);
  out.set(message, HEAD);
  return out;
}

/** Takes chunks as they come and calls back with each whole message. Throws when a message is compressed. */
export function createDeframer(onMessage: (message: Uint8Array) => void): (chunk: Buffer) => void {
  let rest: Buffer[] = [];
  let have = 0;
  let need = HEAD;
  return (chunk) => {
    rest.push(chunk);
    have += chunk.length;
    while (have >= need) {
      const bytes = rest.length === 1 ? rest[0]! : Buffer.concat(rest);
      if (bytes[0] !== 0) throw new Error('compressed gRPC message');
      const end = HEAD + bytes.readUInt32BE(1);
      rest = [bytes];
      if (have < end) {
        need = end;
        break;
      }
      onMessage(bytes.subarray(HEAD, end));
      rest = bytes.length > end ? [bytes.subarray(end)] : [];
      have -= end;
      need = HEAD;
    }
  };
}
