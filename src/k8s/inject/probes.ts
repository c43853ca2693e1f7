/**
 * Probes of the application, asked through the proxy. The kubelet is not in the mesh, so behind STRICT mTLS it can't ask the application itself:
 * a probe is moved to a port where the proxy answers plain HTTP for it, `/<port>/<path>`. Source: Kuma 2.11 `virtual probes`.
 */
import type { AdmittedPod, PodContainer, PodProbe } from './pod.ts';

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

/** The container with its HTTP probes moved to `port`. What was moved before stays. */
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
  const { httpGet } = probe;
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

/** Probes that ask behind the proxy and were not moved: with STRICT mTLS they do not say what they said before. */
export function probeWarnings({ spec = {} }: AdmittedPod, excludesPort: (port: number) => boolean): readonly string[] {
  const warnings: string[] = [];
  const containers = [...(spec.initContainers ?? []).filter(isNativeSidecar), ...(spec.containers ?? [])];
  for (const container of containers) {
    for (const name of PROBES) {
      const { httpGet, tcpSocket, grpc } = container[name] ?? {};
      const asked = httpGet ?? tcpSocket ?? grpc;
      if (asked === undefined || ('host' in asked && asked.host)) continue;
      const port = portNumber(asked.port, container);
      if (port === undefined || excludesPort(port)) continue;
      const where = `container ${container.name}: ${name}`;
      const instead = `use an httpGet or exec probe, or traffic.kuma.io/exclude-inbound-ports: "${port}" with a port of its own for it`;
      if (tcpSocket !== undefined)
        warnings.push(
          `${where} asks TCP port ${port}, where the proxy answers also while the application does not; ${instead}`,
        );
      else if (grpc !== undefined || httpGet?.scheme?.toUpperCase() === 'HTTPS')
        warnings.push(
          `${where} asks ${grpc ? 'gRPC' : 'HTTPS'} port ${port}, which fails where the mesh asks for mTLS; ${instead}`,
        );
    }
  }
  return warnings;
}

/** An init container that stays. */
export function isNativeSidecar(container: PodContainer): boolean {
  return container.restartPolicy === 'Always';
}
