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

/** `DeltaDiscoveryResponse.resources` entries by resource: tag, length and `Resource{name, version, resource}`, shared by all streams. */
const deltaEntries = new WeakMap<EncodedResource, Uint8Array>();

/** Bytes of a `DeltaDiscoveryResponse`. */
export function encodeDeltaResponse(response: DeltaResponse): Buffer {
  const parts: Uint8Array[] = response.resources.map(deltaEntry);
  parts.push(stringField(4, response.typeUrl), stringField(5, response.nonce));
  for (const name of response.removed) parts.push(stringField(6, name));
  return Buffer.concat(parts);
}

/** Bytes of a `DiscoveryResponse`. */
export function encodeSotwResponse(response: SotwResponse): Buffer {
  const parts: Uint8Array[] = [stringField(1, response.version)];
  for (const resource of response.resources) parts.push(fieldHead(2, resource.any.length), resource.any);
  parts.push(stringField(4, response.typeUrl), stringField(5, response.nonce));
  return Buffer.concat(parts);
}

function deltaEntry(resource: EncodedResource): Uint8Array {
  const known = deltaEntries.get(resource);
  if (known) return known;
  const body = [
    stringField(1, resource.version),
    fieldHead(2, resource.any.length),
    resource.any,
    stringField(3, resource.name),
  ];
  const length = body.reduce((sum, part) => sum + part.length, 0);
  const entry = new Uint8Array(Buffer.concat([fieldHead(2, length), ...body]));
  deltaEntries.set(resource, entry);
  return entry;
}

function stringField(number: number, text: string): Uint8Array {
  if (text === '') return EMPTY;
  const length = Buffer.byteLength(text);
  const head = headLength(length);
  const out = Buffer.allocUnsafe(head + length);
  writeHead(out, number, length);
  out.write(text, head, 'utf8');
  return out;
}

const EMPTY = new Uint8Array(0);

function fieldHead(number: number, length: number): Uint8Array {
  const out = Buffer.allocUnsafe(headLength(length));
  writeHead(out, number, length);
  return out;
}

/** Bytes of tag and length; field numbers here are below 16, so the tag is one byte. */
function headLength(length: number): number {
  let size = 2;
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeHead(out: Buffer, number: number, length: number): void {
  out[0] = (number << 3) | LENGTH_DELIMITED;
  let at = 1;
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[at++] = (rest % 0x80) | 0x80;
  out[at] = rest;
}
