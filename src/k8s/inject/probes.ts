/**
 * Probes of the application, asked through the proxy. The kubelet is not in the mesh, so behind STRICT mTLS it can't ask the application itself:
 * a probe is moved to a port where the proxy answers plain HTTP for it: `/<port>/<path>` for HTTP (Kuma 2.11 virtual probes), `/tcp/<port>` and
 * `/grpc/<port>/<service>` for the others, where Envoy asks the application every second.
 */
import type { AdmittedPod, PodContainer, PodProbe } from './pod.ts';

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

/** The container with its HTTP, TCP and gRPC probes moved to `port`. What was moved before stays. */
export function moveProbes(container: PodContainer, port: number): PodContainer {
  const moved = PROBES.flatMap((name) => {
    const probe = container[name];
    const better = probe === undefined ? undefined : moveProbe(probe, container, port);
    return better === undefined ? [] : [[name, better] as const];
  });
  return moved.length === 0 ? container : { ...container, ...Object.fromEntries(moved) };
}

/** `undefined`: the probe stays as it is. */
function moveProbe(probe: PodProbe, container: PodContainer, port: number): PodProbe | undefined {
  const { httpGet, tcpSocket, grpc, ...others } = probe;
  if (tcpSocket !== undefined && !tcpSocket.host) {
    const asked = portNumber(tcpSocket.port, container);
    return asked === undefined ? undefined : { ...others, httpGet: { path: `/tcp/${asked}`, port, scheme: 'HTTP' } };
  }
  if (grpc !== undefined) {
    const service = grpc.service ? `/${encodeURIComponent(grpc.service)}` : '';
    return { ...others, httpGet: { path: `/grpc/${grpc.port}${service}`, port, scheme: 'HTTP' } };
  }
  // Another host is not this Pod; TLS is between the kubelet and the application.
  if (httpGet === undefined || httpGet.host || httpGet.scheme?.toUpperCase() === 'HTTPS') return undefined;
  const asked = portNumber(httpGet.port, container);
  if (asked === undefined || asked === port) return undefined;
  const path = httpGet.path ?? '/';
  return { ...probe, httpGet: { ...httpGet, port, path: `/${asked}${path.startsWith('/') ? '' : '/'}${path}` } };
}

function portNumber(port: number | string, { ports = [] }: PodContainer): number | undefined {
  if (typeof port === 'number') return port;
  return /^\d+$/.test(port) ? Number(port) : ports.find(({ name }) => name === port)?.containerPort;
}

/** Probes that cannot be moved: HTTPS is between the kubelet and the application, and the proxy takes it for mesh TLS. */
export function probeWarnings({ spec = {} }: AdmittedPod, excludesPort: (port: number) => boolean): readonly string[] {
  const containers = [...(spec.initContainers ?? []).filter(isNativeSidecar), ...(spec.containers ?? [])];
  return containers.flatMap((container) =>
    PROBES.flatMap((name) => {
      const { httpGet } = container[name] ?? {};
      if (httpGet === undefined || httpGet.host || httpGet.scheme?.toUpperCase() !== 'HTTPS') return [];
      const port = portNumber(httpGet.port, container);
      if (port === undefined || excludesPort(port)) return [];
      return [
        `container ${container.name}: ${name} asks HTTPS port ${port}, which fails where the mesh asks for mTLS; use a tcpSocket or exec probe, or traffic.kuma.io/exclude-inbound-ports: "${port}"`,
      ];
    }),
  );
}

/** An init container that stays. */
export function isNativeSidecar(container: PodContainer): boolean {
  return container.restartPolicy === 'Always';
}
