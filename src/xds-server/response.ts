/**
 * Outer framing of xDS responses, written around resources that are encoded already, so that a push copies bytes and encodes nothing.
 * Source: envoy/service/discovery/v3/discovery.proto (field numbers), protobuf wire format.
 */
import type { EncodedResource } from './xds.ts';

/** What a `DeltaDiscoveryResponse` says. */
export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** What a (state-of-the-world) `DiscoveryResponse` says. */
export interface SotwResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly EncodedResource[];
}

const LENGTH_DELIMITED = 2;

/** Bytes of a `DeltaDiscoveryResponse`. */
export function encodeDeltaResponse(response: DeltaResponse): Buffer {
  const entries = response.resources.map(deltaEntrySize);
  let size = textSize(response.typeUrl) + textSize(response.nonce);
  for (const entry of entries) size += fieldSize(entry);
  for (const name of response.removed) size += fieldSize(Buffer.byteLength(name));
  const out = createOutput(size);
  for (const [index, resource] of response.resources.entries()) {
    out.head(2, entries[index]!);
    out.text(1, resource.version);
    out.bytes(2, resource.any);
    out.text(3, resource.name);
  }
  out.text(4, response.typeUrl);
  out.text(5, response.nonce);
  for (const name of response.removed) {
    out.head(6, Buffer.byteLength(name));
    out.raw(name);
  }
  return out.buffer;
}

/** Bytes of a `DiscoveryResponse`. */
export function encodeSotwResponse(response: SotwResponse): Buffer {
  let size = textSize(response.version) + textSize(response.typeUrl) + textSize(response.nonce);
  for (const resource of response.resources) size += fieldSize(resource.any.length);
  const out = createOutput(size);
  out.text(1, response.version);
  for (const resource of response.resources) out.bytes(2, resource.any);
  out.text(4, response.typeUrl);
  out.text(5, response.nonce);
  return out.buffer;
}

/** Length of `Resource{name, version, resource}`. */
function deltaEntrySize(resource: EncodedResource): number {
  return textSize(resource.version) + fieldSize(resource.any.length) + textSize(resource.name);
}

/** Tag, length and content. */
function fieldSize(length: number): number {
  let size = 2 + length;
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** An empty text is not written (proto3 default). */
function textSize(text: string): number {
  return text === '' ? 0 : fieldSize(Buffer.byteLength(text));
}

/** A message of known size, written front to back in one piece: no part is copied twice and nothing is kept per resource. */
function createOutput(size: number) {
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  /** Field numbers here are below 16, so the tag is one byte. */
  const head = (field: number, length: number): void => {
    buffer[at++] = (field << 3) | LENGTH_DELIMITED;
    let rest = length;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) buffer[at++] = (rest % 0x80) | 0x80;
    buffer[at++] = rest;
  };
  const raw = (text: string): void => {
    at += buffer.write(text, at, 'utf8');
  };
  return {
    buffer,
    head,
    raw,
    text(field: number, text: string): void {
      if (text === '') return;
      head(field, Buffer.byteLength(text));
      raw(text);
    },
    bytes(field: number, bytes: Uint8Array): void {
      head(field, bytes.length);
      buffer.set(bytes, at);
      at += bytes.length;
    },
  };
}
