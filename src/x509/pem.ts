import { X509Error } from './error.ts';

/** One `-----BEGIN label-----` block. Text between blocks is not kept. */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

export interface PemLimits {
  /** Largest text read at all. */
  readonly maxBytes: number;
  /** Largest number of blocks. */
  readonly maxBlocks: number;
}

/** Room for any sane CA bundle, and far below what hurts. */
export const PEM_LIMITS: PemLimits = { maxBytes: 1024 * 1024, maxBlocks: 256 };

const BEGIN = '-----BEGIN ';
const DASHES = '-----';
const LONGEST_LABEL = 64;

/**
 * Splits PEM text (RFC 7468, lax form: text around the blocks is skipped) in one forward pass, so time grows with the size only
 * (compare CVE-2024-12401). No block at all gives an empty list. Throws `too-large` and `malformed`.
 */
export function parsePem(input: string | Uint8Array, limits: PemLimits = PEM_LIMITS): readonly PemBlock[] {
  if (input.length > limits.maxBytes) {
    throw new X509Error('too-large', `read PEM: ${input.length} bytes are more than the allowed ${limits.maxBytes}`);
  }
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1');
  const blocks: PemBlock[] = [];
  let position = 0;
  while (true) {
    const begin = text.indexOf(BEGIN, position);
    if (begin === -1) return blocks;
    if (blocks.length === limits.maxBlocks) {
      throw new X509Error('too-large', `read PEM: more than the allowed ${limits.maxBlocks} blocks`);
    }
    const labelStart = begin + BEGIN.length;
    const labelEnd = text.slice(labelStart, labelStart + LONGEST_LABEL + DASHES.length).indexOf(DASHES);
    const label = text.slice(labelStart, labelStart + Math.max(labelEnd, 0));
    if (!/^[A-Z0-9 ]+$/.test(label)) throw new X509Error('malformed', 'read PEM: a BEGIN line is broken');
    const bodyStart = labelStart + label.length + DASHES.length;
    const end = `-----END ${label}-----`;
    const bodyEnd = text.indexOf(end, bodyStart);
    if (bodyEnd === -1) throw new X509Error('malformed', `read PEM: the ${label} block has no END line`);
    blocks.push({ label, der: decodeBody(text.slice(bodyStart, bodyEnd), label) });
    position = bodyEnd + end.length;
  }
}

function decodeBody(body: string, label: string): Buffer {
  const packed = body.replace(/[\r\n\t ]/g, '');
  if (packed.length === 0 || packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) {
    throw new X509Error('malformed', `read PEM: the ${label} block is not base64`);
  }
  return Buffer.from(packed, 'base64');
}

/** One block with 64 characters a line and a final newline. */
export function toPem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < base64.length; at += 64) lines.push(base64.slice(at, at + 64));
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
