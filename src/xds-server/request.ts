/**
 * Reads xDS requests. Only what the server acts on is looked at: Envoy's node lists hundreds of extensions, and decoding them for each
 * of thousands of streams costs more than everything else in a request. The reader is protobuf-es's; equality with its full decoder is a test.
 * Source: envoy/service/discovery/v3/discovery.proto, envoy/config/core/v3/base.proto (Node, BuildVersion).
 */
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { type NodeInfo, XdsError } from './xds.ts';

/** `google.rpc.Status` of a refused response. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

export interface DeltaRequest {
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name to version of what the client holds from an earlier stream. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** '' when the request answers nothing. */
  readonly nonce: string;
  readonly error: Refusal | undefined;
  /** Encoded node; `undefined` when absent. See `decodeNode`. */
  readonly node: Uint8Array | undefined;
}

export interface SotwRequest {
  readonly typeUrl: string;
  readonly names: readonly string[];
  /** Last version the client accepted of this type, '' when none. */
  readonly version: string;
  readonly nonce: string;
  readonly error: Refusal | undefined;
  readonly node: Uint8Array | undefined;
}

const textDecoder = new TextDecoder();
const NO_VERSIONS: ReadonlyMap<string, string> = new Map();

/** Throws `XdsError` `invalid-argument` when the bytes are no `DeltaDiscoveryRequest`. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  let typeUrl = '';
  let nonce = '';
  let error: Refusal | undefined;
  let node: Uint8Array | undefined;
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  let initialVersions: Map<string, string> | undefined;
  readFields('delta discovery request', bytes, (field, reader) => {
    switch (field) {
      case 1:
        node = reader.bytes();
        return true;
      case 2:
        typeUrl = reader.string();
        return true;
      case 3:
        subscribe.push(reader.string());
        return true;
      case 4:
        unsubscribe.push(reader.string());
        return true;
      case 5: {
        const [name, version] = decodePair(reader.bytes());
        initialVersions ??= new Map();
        initialVersions.set(name, version);
        return true;
      }
      case 6:
        nonce = reader.string();
        return true;
      case 7:
        error = decodeRefusal(reader.bytes());
        return true;
      default:
        return false;
    }
  });
  return { typeUrl, subscribe, unsubscribe, initialVersions: initialVersions ?? NO_VERSIONS, nonce, error, node };
}

/** Throws `XdsError` `invalid-argument` when the bytes are no `DiscoveryRequest`. */
export function decodeSotwRequest(bytes: Uint8Array): SotwRequest {
  let typeUrl = '';
  let version = '';
  let nonce = '';
  let error: Refusal | undefined;
  let node: Uint8Array | undefined;
  const names: string[] = [];
  readFields('discovery request', bytes, (field, reader) => {
    switch (field) {
      case 1:
        version = reader.string();
        return true;
      case 2:
        node = reader.bytes();
        return true;
      case 3:
        names.push(reader.string());
        return true;
      case 4:
        typeUrl = reader.string();
        return true;
      case 5:
        nonce = reader.string();
        return true;
      case 6:
        error = decodeRefusal(reader.bytes());
        return true;
      default:
        return false;
    }
  });
  return { typeUrl, names, version, nonce, error, node };
}

/** Throws `XdsError` `invalid-argument` when the bytes are no `Node`. */
export function decodeNode(bytes: Uint8Array): NodeInfo {
  let id = '';
  let cluster = '';
  let userAgent = '';
  let textVersion = '';
  let buildVersion = '';
  let metadata: Record<string, unknown> = {};
  readFields('node', bytes, (field, reader) => {
    switch (field) {
      case 1:
        id = reader.string();
        return true;
      case 2:
        cluster = reader.string();
        return true;
      case 3: {
        // A Struct in JSON form is always an object.
        metadata = toJson(StructSchema, fromBinary(StructSchema, reader.bytes())) as Record<string, unknown>;
        return true;
      }
      case 6:
        userAgent = reader.string();
        return true;
      case 7:
        textVersion = reader.string();
        return true;
      case 8:
        buildVersion = decodeBuildVersion(reader.bytes());
        return true;
      default:
        return false;
    }
  });
  return { id, cluster, metadata, envoyVersion: buildVersion || textVersion, userAgent };
}

/**
 * The id alone, to see cheaply that a later message of a stream speaks for the same node: Envoy's delta client sends its whole node,
 * with hundreds of extensions, in every request.
 */
export function decodeNodeId(bytes: Uint8Array): string {
  const ID_TAG = 0x0a;
  let id = '';
  // Written in field order, the id comes first.
  if (bytes[0] === ID_TAG && bytes[1]! < 0x80 && bytes.length >= 2 + bytes[1]!)
    return textDecoder.decode(bytes.subarray(2, 2 + bytes[1]!));
  readFields('node', bytes, (field, reader) => {
    if (field !== 1) return false;
    id = reader.string();
    return true;
  });
  return id;
}

/** Shows `read` each length-delimited field; it reads the value and says true, or false to have it skipped. All others are skipped. */
function readFields(what: string, bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (wireType !== LENGTH_DELIMITED || !read(field, reader)) reader.skip(wireType, field);
    }
    if (reader.pos !== reader.len) throw new RangeError('premature end');
  } catch (cause) {
    if (cause instanceof XdsError) throw cause;
    throw new XdsError('invalid-argument', `decode ${what}: malformed protobuf`, { cause });
  }
}

const LENGTH_DELIMITED = 2;
const VARINT = 0;

function decodePair(bytes: Uint8Array): [string, string] {
  let key = '';
  let value = '';
  readFields('initial resource version', bytes, (field, reader) => {
    switch (field) {
      case 1:
        key = reader.string();
        return true;
      case 2:
        value = reader.string();
        return true;
      default:
        return false;
    }
  });
  return [key, value];
}

function decodeRefusal(bytes: Uint8Array): Refusal {
  let message = '';
  readFields('error detail', bytes, (field, reader) => {
    if (field !== 2) return false;
    message = reader.string();
    return true;
  });
  return { code: decodeVarints(bytes)[1] ?? 0, message };
}

/** `major.minor.patch` of a `BuildVersion`, '' when it has none. */
function decodeBuildVersion(bytes: Uint8Array): string {
  let text = '';
  readFields('build version', bytes, (field, reader) => {
    switch (field) {
      case 1: {
        const numbers = decodeVarints(reader.bytes());
        text = `${numbers[1] ?? 0}.${numbers[2] ?? 0}.${numbers[3] ?? 0}`;
        return true;
      }
      default:
        return false;
    }
  });
  return text;
}

/** Varint fields by number, as 32-bit numbers. */
function decodeVarints(bytes: Uint8Array): Record<number, number> {
  const out: Record<number, number> = {};
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === VARINT && field < 16) out[field] = reader.int32();
    else reader.skip(wireType, field);
  }
  return out;
}
