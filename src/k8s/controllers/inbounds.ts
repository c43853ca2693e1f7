/** Inbounds of a Pod out of the Services before it. Source: compatibility reference 6; Kuma 2.11 `inbound_converter.go`. */
import type { DataplaneInbound } from '../../resources/kinds/dataplane.ts';
import { PROTOCOL_TAG, SERVICE_TAG, ZONE_TAG } from '../../resources/kinds/tags.ts';
import type { Container, Pod, Service, ServicePort } from '../api/core-kinds.ts';
import { applicationContainers, isReady } from './pod-status.ts';
import { isHeadless, protocolTag, selects, serviceTag, tcpPorts } from './services.ts';
import { workloadName } from './workload-name.ts';

type Tags = Readonly<Record<string, string>>;

/** Port of an inbound that stands for "this workload has no Service"; nothing listens there. Source: Kuma 2.11 `TCPPortReserved`. */
const NO_SERVICE_PORT = 49151;
const INSTANCE_TAG = 'kuma.io/instance';
const NAMESPACE_TAG = 'k8s.kuma.io/namespace';

export interface InboundOptions {
  /** '' : no zone tag. */
  readonly zone: string;
  /** Labels of the Pod's Node that become tags. */
  readonly nodeLabels: Tags;
}

/** One inbound per Service and TCP port; ports that the Pod does not have are left out. Never empty: a Pod without any has the reserved one. */
export function inboundsOf(
  pod: Pod,
  services: readonly Service[],
  options: InboundOptions,
): readonly [DataplaneInbound, ...DataplaneInbound[]] {
  const [first, ...others] = services.flatMap((service) =>
    tcpPorts(service).flatMap((port) => inboundOf(pod, service, port, options) ?? []),
  );
  return first === undefined ? [withoutService(pod, options)] : [first, ...others];
}

/** The first inbound of each port. Source: Kuma 2.11 `deduplicateInboundsByAddressAndPort`; for meshes whose MeshServices are `Exclusive`. */
export function firstOfEachPort(inbounds: readonly DataplaneInbound[]): readonly DataplaneInbound[] {
  return inbounds.filter(({ port }, index) => inbounds.findIndex((one) => one.port === port) === index);
}

function inboundOf(
  pod: Pod,
  service: Service,
  servicePort: ServicePort,
  options: InboundOptions,
): DataplaneInbound | undefined {
  const target = targetOf(pod, servicePort);
  if (target === undefined) return undefined;
  const selected = selects(service, pod.metadata.labels);
  const ready = isReady(pod, target.container);
  return {
    port: target.port,
    ...(target.name === undefined ? {} : { name: target.name }),
    tags: sorted({
      ...ownTags(pod),
      [NAMESPACE_TAG]: pod.metadata.namespace ?? '',
      'k8s.kuma.io/service-name': service.metadata.name,
      'k8s.kuma.io/service-port': String(servicePort.port),
      [SERVICE_TAG]: serviceTag(service, servicePort),
      ...zoneTag(options),
      ...options.nodeLabels,
      [PROTOCOL_TAG]: protocolTag(service, servicePort),
      ...(isHeadless(service) ? { [INSTANCE_TAG]: pod.metadata.name } : {}),
    }),
    state: selected ? (ready ? 'Ready' : 'NotReady') : 'Ignored',
    health: { ready: ready && selected },
  };
}

function withoutService(pod: Pod, options: InboundOptions): DataplaneInbound {
  const ready = isReady(pod, undefined);
  return {
    port: NO_SERVICE_PORT,
    tags: sorted({
      ...ownTags(pod),
      [NAMESPACE_TAG]: pod.metadata.namespace ?? '',
      [SERVICE_TAG]: `${workloadName(pod)}_${pod.metadata.namespace ?? ''}_svc`,
      ...zoneTag(options),
      [PROTOCOL_TAG]: 'tcp',
      [INSTANCE_TAG]: pod.metadata.name,
      ...options.nodeLabels,
    }),
    state: ready ? 'Ready' : 'NotReady',
    health: { ready },
  };
}

function zoneTag({ zone }: InboundOptions): Tags {
  return zone === '' ? {} : { [ZONE_TAG]: zone };
}

/** The Pod's labels, without empty ones and those that the mesh itself reads. */
function ownTags(pod: Pod): Tags {
  return Object.fromEntries(
    Object.entries(pod.metadata.labels ?? {}).filter(([key, value]) => value !== '' && !key.includes('kuma.io/')),
  );
}

interface Target {
  readonly port: number;
  /** Name of the container's port. */
  readonly name?: string | undefined;
  /** The container that says it has the port. */
  readonly container?: Container;
}

/** Where a Service's port leads in this Pod. A number need not be a port that a container names; a name must be. */
function targetOf(pod: Pod, { port, targetPort = port }: ServicePort): Target | undefined {
  for (const container of applicationContainers(pod)) {
    const found = container.ports?.find(
      (one) =>
        (typeof targetPort === 'string' ? one.name === targetPort : one.containerPort === targetPort) &&
        (one.protocol ?? 'TCP') === 'TCP',
    );
    if (found !== undefined) return { port: found.containerPort, name: found.name, container };
  }
  return typeof targetPort === 'number' ? { port: targetPort } : undefined;
}

function sorted(tags: Tags): Tags {
  return Object.fromEntries(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)));
}
