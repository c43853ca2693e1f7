/** Listeners, in two parts: what a listener has for itself, and chains that many share. Source: Kuma 2.11 `pkg/xds/envoy/listeners`. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '@weft/protos/envoy/config/core/v3/base_pb.js';
import type {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '@weft/protos/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '@weft/protos/envoy/config/listener/v3/listener_pb.js';
import type { EncodedResource } from '../xds-server/xds.ts';
import { socketAddress } from './address.ts';
import { encode, encodeResource, RESOURCE_TYPE } from './encode.ts';
import type { FilterInit, ListenerFilterInit } from './filters.ts';
import { listenerMetadata, type MetadataInit } from './metadata.ts';
import { MESH_ALPN, type TransportSocketInit } from './tls.ts';

type FilterChainInit = MessageInitShape<typeof FilterChainSchema>;

/** Which connections a chain is for; absent: all. */
type ChainMatch = 'plain-text' | 'any-tls' | 'mesh-tls';

export interface Chain {
  readonly match?: ChainMatch;
  readonly filters: readonly FilterInit[];
  readonly tls?: TransportSocketInit | undefined;
  readonly metadata?: MetadataInit | undefined;
}

/** Encoded chains and listener filters: the shared part of `listenerResource`. */
export function encodeChains(
  chains: readonly Chain[],
  listenerFilters: readonly ListenerFilterInit[] = [],
): Uint8Array {
  return encode(ListenerSchema, {
    filterChains: chains.map(
      (chain): FilterChainInit => ({
        ...(chain.match !== undefined && { filterChainMatch: matchOf(chain.match) }),
        filters: [...chain.filters],
        ...(chain.tls && { transportSocket: chain.tls }),
        ...(chain.metadata && { metadata: chain.metadata }),
      }),
    ),
    listenerFilters: [...listenerFilters],
  });
}

export interface ListenerOptions {
  readonly name: string;
  readonly direction: 'inbound' | 'outbound';
  readonly address: string;
  readonly port: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** False: connections come by redirect only; nothing listens on the address. */
  readonly bindToPort: boolean;
  /** Takes redirected connections and hands each to the listener of its original address. */
  readonly useOriginalDst?: boolean;
}

/** `chains`: see `encodeChains`. */
export function listenerResource(options: ListenerOptions, chains: Uint8Array): EncodedResource {
  return joinListener(options.name, encodeListener(options), chains);
}

/** What a listener has for itself, encoded: everything but its chains. */
export function encodeListener(options: ListenerOptions): Uint8Array {
  return encode(ListenerSchema, {
    name: options.name,
    address: socketAddress(options.address, options.port),
    ...(options.tags && { metadata: listenerMetadata(options.tags) }),
    ...(options.bindToPort ? {} : { bindToPort: false }),
    ...(options.useOriginalDst === true && { useOriginalDst: true }),
    ...(options.direction === 'inbound'
      ? { trafficDirection: TrafficDirection.INBOUND, enableReusePort: false }
      : { trafficDirection: TrafficDirection.OUTBOUND }),
  });
}

/** The listener out of `encodeListener` and `encodeChains`. */
export function joinListener(name: string, own: Uint8Array, chains: Uint8Array): EncodedResource {
  return encodeResource(RESOURCE_TYPE.listener, name, own, chains);
}

function matchOf(match: ChainMatch): MessageInitShape<typeof FilterChainMatchSchema> {
  switch (match) {
    case 'plain-text':
      return { transportProtocol: 'raw_buffer' };
    case 'any-tls':
      return { transportProtocol: 'tls' };
    case 'mesh-tls':
      return { transportProtocol: 'tls', applicationProtocols: [MESH_ALPN] };
    default:
      return match satisfies never;
  }
}
