/** Services as the mesh sees them. Source: compatibility reference 6; Kuma 2.11 `pod_controller.go`, `inbound_converter.go`. */
import { AnnotationError, flagAnnotation } from '../api/annotations.ts';
import type { Pod, Service, ServicePort } from '../api/core-kinds.ts';

type Labels = Readonly<Record<string, string>>;

/** `<service>_<namespace>_svc_<port>`: the `kuma.io/service` of a Service's port. */
export function serviceTag(service: Service, port: ServicePort): string {
  return `${service.metadata.name}_${service.metadata.namespace ?? ''}_svc_${port.port}`;
}

export function tcpPorts(service: Service): readonly ServicePort[] {
  return (service.spec?.ports ?? []).filter(({ protocol }) => protocol === undefined || protocol === 'TCP');
}

export function isHeadless(service: Service): boolean {
  return service.spec?.clusterIP === 'None';
}

/** Part of no mesh: annotated `kuma.io/ignore`, or only a DNS alias. A value that is no yes or no does not count. */
export function isIgnored(service: Service): boolean {
  if (service.spec?.type === 'ExternalName') return true;
  try {
    return flagAnnotation(service.metadata.annotations, 'kuma.io/ignore') ?? false;
  } catch (error) {
    if (error instanceof AnnotationError) return false;
    throw error;
  }
}

/** True when every label of the selector, but the `ignored` ones, is the Pod's. A Service without selector selects nobody. */
export function selects(service: Service, labels: Labels | undefined, ignored: readonly string[] = []): boolean {
  const selector = Object.entries(service.spec?.selector ?? {});
  return (
    selector.length > 0 &&
    selector.every(
      ([key, value]) => ignored.includes(key) || (Object.hasOwn(labels ?? {}, key) && labels![key] === value),
    )
  );
}

/** The Services that this Pod stands behind, by name. `ignoredLabels` of a selector do not count here; `state` of an inbound tells then. */
export function servicesOf(
  pod: Pod,
  inNamespace: Iterable<Service>,
  ignoredLabels: readonly string[],
): readonly Service[] {
  return [...inNamespace]
    .filter((service) => !isIgnored(service) && selects(service, pod.metadata.labels, ignoredLabels))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

const KNOWN_PROTOCOLS = new Set(['http', 'http2', 'tcp', 'tls', 'grpc', 'kafka', 'mysql']);

/** Value of `kuma.io/protocol`: a known `appProtocol`, else the annotation `<port>.service.kuma.io/protocol` whatever it says, else `tcp`. */
export function protocolTag(service: Service, port: ServicePort): string {
  const appProtocol = (port.appProtocol ?? '').toLowerCase();
  if (KNOWN_PROTOCOLS.has(appProtocol)) return appProtocol;
  const annotation = service.metadata.annotations?.[`${port.port}.service.kuma.io/protocol`];
  return (annotation || 'tcp').toLowerCase();
}
