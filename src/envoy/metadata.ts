import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { MetadataSchema } from '@weft/protos/envoy/config/core/v3/base_pb.js';
import { SERVICE_TAG } from './names.ts';

type Tags = Readonly<Record<string, string>>;
export type MetadataInit = MessageInitShape<typeof MetadataSchema>;

/** Tags of a listener, where tools look for them. */
export function listenerMetadata(tags: Tags): MetadataInit {
  return { filterMetadata: { 'io.kuma.tags': sortedFields(tags) } };
}

/**
 * Marks what connections belong to: with another mark Envoy takes it for another filter chain or cluster, and drains the connections of the former one.
 * `undefined` for 0: nothing was ever distrusted.
 */
export function trustMetadata(distrustEpoch: number): MetadataInit | undefined {
  return distrustEpoch === 0 ? undefined : { filterMetadata: { 'io.weft.trust': { epoch: distrustEpoch } } };
}

/** Tags of an endpoint for subset load balancing and socket matches; the service is in the cluster's name already. `undefined`: none. */
export function endpointMetadata(tags: Tags): MetadataInit | undefined {
  const fields = sortedFields(tags, SERVICE_TAG);
  if (Object.keys(fields).length === 0) return undefined;
  return { filterMetadata: { 'envoy.lb': fields, 'envoy.transport_socket_match': fields } };
}

function sortedFields(tags: Tags, without?: string): JsonObject {
  return Object.fromEntries(
    Object.entries(tags)
      .filter(([key]) => key !== without)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
