/**
 * DER writing, as far as the leaf template needs it (ITU-T X.690). There is no reader here on purpose: parsing is left to OpenSSL and
 * to the X.509 library.
 */

/** Tag, length and content of one value. `tag` is the identifier byte, such as 0x30 for SEQUENCE. */
export function derValue(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 0);
  const header = [tag, ...derLength(size)];
  const out = Buffer.allocUnsafe(header.length + size);
  out.set(header);
  let at = header.length;
  for (const part of content) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function derLength(size: number): readonly number[] {
  if (size < 0x80) return [size];
  if (size < 0x100) return [0x81, size];
  if (size < 0x10000) return [0x82, size >> 8, size & 0xff];
  return [0x83, (size >> 16) & 0xff, (size >> 8) & 0xff, size & 0xff];
}

export const derSequence = (...content: readonly Uint8Array[]): Buffer => derValue(0x30, ...content);
export const derOctetString = (content: Uint8Array): Buffer => derValue(0x04, content);
export const derBoolean = (value: boolean): Buffer => Buffer.from([0x01, 0x01, value ? 0xff : 0x00]);
export const derNull: Buffer = Buffer.from([0x05, 0x00]);

/** A BIT STRING of whole bytes. */
export const derBitString = (content: Uint8Array): Buffer => derValue(0x03, Buffer.from([0]), content);

/** The number that `bytes` (big endian) are, as a positive INTEGER in its shortest form. */
export function derPositiveInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  return digits[0]! >= 0x80 ? derValue(0x02, Buffer.from([0]), digits) : derValue(0x02, digits);
}

/** `1.2.840` as OBJECT IDENTIFIER. */
export function derOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return derValue(0x06, Buffer.from(bytes));
}

/** Whole seconds of `epochMs`: UTCTime up to 2049, GeneralizedTime after. Source: RFC 5280, 4.1.2.5. */
export function derTime(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replace(/[-:T]|\.\d+/g, '');
  return digits.slice(0, 4) < '2050'
    ? derValue(0x17, Buffer.from(digits.slice(2), 'latin1'))
    : derValue(0x18, Buffer.from(digits, 'latin1'));
}
