/** Endpoints of a cluster, by locality. Source: Kuma 2.11 `pkg/xds/envoy/endpoints/v3`. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '@weft/protos/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { ClusterLoadAssignmentSchema } from '@weft/protos/envoy/config/endpoint/v3/endpoint_pb.js';
import type { EncodedResource } from '../xds-server/xds.ts';
import { type AddressInit, socketAddress } from './address.ts';
import { encode, encodeResource, RESOURCE_TYPE } from './encode.ts';
import { endpointMetadata } from './metadata.ts';

export interface EndpointTarget {
  readonly address: string;
  readonly port: number;
  readonly tags: Readonly<Record<string, string>>;
  /** '': no locality. */
  readonly zone: string;
}

export type LoadAssignmentInit = MessageInitShape<typeof ClusterLoadAssignmentSchema>;

export interface LocalityOptions {
  /** Zone whose endpoints are preferred: all others are one priority lower. `undefined`: all are equal. */
  readonly preferredZone: string | undefined;
}

/** Localities in order of zone, endpoints in the order given. Every endpoint has weight 1. */
export function loadAssignment(
  cluster: string,
  targets: readonly EndpointTarget[],
  { preferredZone }: LocalityOptions,
): LoadAssignmentInit {
  const zones = Map.groupBy(targets, (target) => target.zone);
  const endpoints = [...zones]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([zone, members]): MessageInitShape<typeof LocalityLbEndpointsSchema> => ({
        ...(zone !== '' && { locality: { zone } }),
        priority: preferredZone === undefined || zone === '' || zone === preferredZone ? 0 : 1,
        lbEndpoints: members.map(weightedEndpoint),
      }),
    );
  return { clusterName: cluster, endpoints: withoutPriorityGap(endpoints) };
}

/** The same as an EDS resource. */
export function loadAssignmentResource(
  cluster: string,
  targets: readonly EndpointTarget[],
  options: LocalityOptions,
): EncodedResource {
  const bytes = encode(ClusterLoadAssignmentSchema, loadAssignment(cluster, targets, options));
  return encodeResource(RESOURCE_TYPE.endpoint, cluster, bytes);
}

/** One fixed endpoint, as clusters with a built-in assignment have it. */
export function fixedAssignment(cluster: string, address: AddressInit): LoadAssignmentInit {
  return {
    clusterName: cluster,
    endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }] }],
  };
}

function weightedEndpoint(target: EndpointTarget): MessageInitShape<typeof LbEndpointSchema> {
  const metadata = endpointMetadata(target.tags);
  return {
    hostIdentifier: { case: 'endpoint', value: { address: socketAddress(target.address, target.port) } },
    ...(metadata && { metadata }),
    loadBalancingWeight: 1,
  };
}

/** Envoy wants priorities without a hole: when nothing is preferred, the rest is first. */
function withoutPriorityGap(
  endpoints: readonly MessageInitShape<typeof LocalityLbEndpointsSchema>[],
): MessageInitShape<typeof LocalityLbEndpointsSchema>[] {
  if (endpoints.some((one) => one.priority === 0)) return [...endpoints];
  return endpoints.map((one) => ({ ...one, priority: 0 }));
}
