/**
 * What the xDS server serves and what it tells back. It knows nothing of meshes.
 * Source: Envoy xDS protocol (`api-docs/xds_protocol`), sections "Delta", "ADS", "ACK/NACK".
 */

export const TYPE = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  runtime: 'type.googleapis.com/envoy.service.runtime.v3.Runtime',
} as const;
export type TypeUrl = (typeof TYPE)[keyof typeof TYPE];

/** A resource encoded once and shared by every stream that serves it. Same `version`, same bytes. */
export interface EncodedResource {
  readonly name: string;
  /** Content hash. */
  readonly version: string;
  /** Encoded `google.protobuf.Any` (type URL and value). */
  readonly any: Uint8Array;
}

/** Resources of one type by name. Frozen: a change makes a new map; an unchanged type keeps its map (compared by identity first). */
export type TypedResources = ReadonlyMap<string, EncodedResource>;

/** Everything one Envoy should have. A type that is absent is "nothing". */
export type ResourceSet = ReadonlyMap<TypeUrl, TypedResources>;

/** First message's node, decoded. */
export interface NodeInfo {
  /** `<mesh>.<name>` */
  readonly id: string;
  readonly cluster: string;
  /** `node.metadata` as plain JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** `1.40.0`; '' when absent. */
  readonly envoyVersion: string;
  readonly userAgent: string;
}

/** One ADS stream, as its handler sees it. */
export interface XdsStream {
  /** Unique in this process. */
  readonly id: string;
  readonly protocol: 'delta' | 'sotw';
  readonly node: NodeInfo;
  /** Value of the `authorization` request header, without change; '' when absent. */
  readonly authorization: string;
  /** `address:port` of the peer. */
  readonly peer: string;
  /** Replaces what this Envoy should have; only differences go out. A set that was not sent yet is superseded, never queued. */
  setResources(set: ResourceSet): void;
  /** Ends the stream with this status. */
  end(error: XdsError): void;
}

export type XdsErrorCode =
  | 'unauthenticated'
  | 'permission-denied'
  | 'invalid-argument'
  | 'not-found'
  | 'resource-exhausted'
  | 'unavailable'
  | 'internal';

/** Becomes the gRPC status of the stream. */
export class XdsError extends Error {
  readonly code: XdsErrorCode;
  constructor(code: XdsErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'XdsError';
    this.code = code;
  }
}

export interface Ack {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  /** Everything of this type the Envoy has now said yes to: name to version (only what it is subscribed to). */
  readonly accepted: ReadonlyMap<string, string>;
}

export interface Nack {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  /** Names in the refused response. */
  readonly names: readonly string[];
  /** Envoy's own text. */
  readonly message: string;
}

/** What happens on a stream; called in order, never after `onClose`. */
export interface XdsStreamHandler {
  /** A response of this type went out. */
  onSent?(typeUrl: TypeUrl, nonce: string): void;
  onAck(ack: Ack): void;
  /** The refused resources stay as they were in that Envoy; they are not sent again until their version changes. Other types go on. */
  onNack(nack: Nack): void;
  onClose(): void;
}

/** Who decides what a stream gets. `open` may wait (authentication, start-up ramp); requests queue meanwhile. Throws `XdsError`. */
export interface XdsSource {
  open(stream: XdsStream, signal: AbortSignal): Promise<XdsStreamHandler>;
}
