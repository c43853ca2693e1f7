import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { contentHash } from '../lib/hash.ts';
import type { EncodedResource, TypeUrl } from '../xds-server/xds.ts';

/** Type URLs of the resources made here; the same values as `TYPE` of `xds-server/xds.ts`, of which only types may be imported here. */
export const RESOURCE_TYPE = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const satisfies Readonly<Record<string, TypeUrl>>;

/** Encodes one message. Half a surrogate pair in a string becomes U+FFFD. */
export function encode<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, init));
}

/** A typed configuration, as Envoy's `typed_config` fields take it. */
export function packAny<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Any {
  return anyOf(schema.typeName, encode(schema, init));
}

/** As `packAny`, out of bytes that are encoded already. */
export function anyOf(typeName: string, value: Uint8Array): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${typeName}`, value });
}

/**
 * Encoded parts of one message, put together. Protobuf defines the concatenation of two encodings as their merge: lists are joined, a single
 * field that both have is the later one's. So what many resources have in common is encoded once. Source: protobuf encoding guide, "Last One Wins".
 */
export function joinParts(...parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** A resource ready to be sent: `parts` are pieces of its encoding, see `joinParts`. */
export function encodeResource(type: TypeUrl, name: string, ...parts: readonly Uint8Array[]): EncodedResource {
  // google.protobuf.Any, written straight: this is the one encoding that each proxy costs. `type_url` is field 1, `value` field 2.
  const any = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(type)
    .tag(2, WireType.LengthDelimited)
    .bytes(joinParts(...parts))
    .finish();
  return { name, version: contentHash(any), any };
}
