/** The few fields of xDS messages that a simulated Envoy looks at, read without decoding the rest. */
import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { NodeSchema } from '@weft/protos/envoy/config/core/v3/base_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '@weft/protos/envoy/service/discovery/v3/discovery_pb.js';

export type Protocol = 'delta' | 'sotw';

const TYPES = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const;
export type TypeName = keyof typeof TYPES;
export const TYPE_NAMES = Object.keys(TYPES) as TypeName[];

export interface Received {
  readonly type: TypeName | undefined;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string; readonly value: Uint8Array }[];
  readonly removed: readonly string[];
}

const typeOf = new Map<string, TypeName>(TYPE_NAMES.map((name) => [TYPES[name], name]));

/** Values of the length-delimited fields of one message, by field number, in order. */
export function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const out = new Map<number, Uint8Array[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === 2) {
      const value = reader.bytes();
      const list = out.get(field);
      if (list) list.push(value);
      else out.set(field, [value]);
    } else reader.skip(wireType, field);
  }
  return out;
}

/** All values at the end of a path of field numbers. */
export function valuesAt(bytes: Uint8Array, path: readonly number[]): Uint8Array[] {
  let level = [bytes];
  for (const field of path) level = level.flatMap((each) => fieldsOf(each).get(field) ?? []);
  return level;
}

export function textOf(bytes: Uint8Array | undefined): string {
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString() : '';
}

export function readResponse(protocol: Protocol, bytes: Uint8Array): Received {
  const fields = fieldsOf(bytes);
  const first = (field: number) => textOf(fields.get(field)?.[0]);
  const type = typeOf.get(first(4));
  const entries = fields.get(2) ?? [];
  if (protocol === 'delta') {
    const resources = entries.map((entry) => {
      const resource = fieldsOf(entry);
      return {
        name: textOf(resource.get(3)?.[0]),
        version: textOf(resource.get(1)?.[0]),
        value: contentOf(resource.get(2)?.[0]),
      };
    });
    return { type, version: first(1), nonce: first(5), resources, removed: (fields.get(6) ?? []).map(textOf) };
  }
  const resources = entries.map((entry) => {
    const value = contentOf(entry);
    // The name is field 1 of every type that we ask for.
    return { name: textOf(fieldsOf(value).get(1)?.[0]), version: '', value };
  });
  return { type, version: first(1), nonce: first(5), resources, removed: [] };
}

function contentOf(any: Uint8Array | undefined): Uint8Array {
  return (any && fieldsOf(any).get(2)?.[0]) ?? new Uint8Array(0);
}

export interface NodeSpec {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** An Envoy 1.40 names each of its ~500 extensions in its node, which makes it 60 KB. */
const EXTENSIONS = Array.from({ length: 500 }, (_, index) => ({
  name: `envoy.filters.http.extension_number_${index}`,
  category: 'envoy.filters.http',
  typeUrls: [`envoy.extensions.filters.http.extension_number_${index}.v3.Extension`],
}));

/** As Envoy 1.40 introduces itself. */
function nodeOf(node: NodeSpec, extensions: boolean) {
  return create(NodeSchema, {
    id: node.id,
    cluster: node.cluster,
    metadata: node.metadata as JsonObject,
    userAgentName: 'envoy',
    extensions: extensions ? EXTENSIONS : [],
    userAgentVersionType: {
      case: 'userAgentBuildVersion',
      value: { version: { majorNumber: 1, minorNumber: 40, patch: 0 } },
    },
  });
}

export interface OutgoingRequest {
  readonly type: TypeName;
  /** First message of a stream only. */
  readonly node?: NodeSpec | undefined;
  /** With its list of extensions. */
  readonly extensions?: boolean;
  readonly nonce?: string;
  /** SOTW: the whole list. */
  readonly names?: readonly string[];
  readonly version?: string;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: Readonly<Record<string, string>>;
}

export function encodeRequest(protocol: Protocol, request: OutgoingRequest): Uint8Array {
  const node = request.node ? { node: nodeOf(request.node, request.extensions ?? false) } : {};
  const typeUrl = TYPES[request.type];
  const responseNonce = request.nonce ?? '';
  if (protocol === 'delta') {
    return toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        ...node,
        typeUrl,
        responseNonce,
        resourceNamesSubscribe: [...(request.subscribe ?? [])],
        resourceNamesUnsubscribe: [...(request.unsubscribe ?? [])],
        initialResourceVersions: { ...request.initialVersions },
      }),
    );
  }
  return toBinary(
    DiscoveryRequestSchema,
    create(DiscoveryRequestSchema, {
      ...node,
      typeUrl,
      responseNonce,
      resourceNames: [...(request.names ?? [])],
      versionInfo: request.version ?? '',
    }),
  );
}
