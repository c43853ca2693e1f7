/** Virtual probes of a Pod, as the injector has written them. Source: Kuma 2.11 `controllers/probes.go`. */
import type { DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import { AnnotationError, flagAnnotation, portAnnotation } from '../api/annotations.ts';
import type { Pod, Probe } from '../api/core-kinds.ts';
import { SIDECAR } from './pod-status.ts';

const ENABLED = 'kuma.io/virtual-probes';
const PORT = 'kuma.io/virtual-probes-port';

type Probes = NonNullable<DataplaneSpec['probes']>;
type ProbeEndpoint = NonNullable<Probes['endpoints']>[number];

/**
 * A probe that the injector moved asks `/<port>/<path>` on the port of the annotation; the proxy answers for `<path>` on `<port>`; `/tcp/<port>` and
 * `/grpc/<port>/<service>` keep their path, by which the proxy knows that it has to ask TCP or gRPC. Probes that
 * were left alone are none. `undefined`: the Pod has no virtual probes. Throws `AnnotationError`.
 */
export function virtualProbesOf(pod: Pod): Probes | undefined {
  const { annotations } = pod.metadata;
  if (flagAnnotation(annotations, ENABLED) !== true) return undefined;
  const port = portAnnotation(annotations, PORT);
  if (port === undefined) throw new AnnotationError(PORT, `${PORT} annotation doesn't exist`);
  const endpoints = probedContainers(pod)
    .flatMap(({ livenessProbe, readinessProbe, startupProbe }) => [livenessProbe, readinessProbe, startupProbe])
    .flatMap((probe) => endpointOf(probe, port) ?? []);
  const distinct = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint]));
  return { port, endpoints: [...distinct.values()] };
}

/** Native sidecars after ours, and the containers. */
function probedContainers({ spec }: Pod) {
  const init = spec?.initContainers ?? [];
  const ours = init.findIndex(({ name }) => name === SIDECAR);
  const afterOurs = ours < 0 ? [] : init.slice(ours + 1).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...afterOurs, ...(spec?.containers ?? []).filter(({ name }) => name !== SIDECAR)];
}

function endpointOf(probe: Probe | undefined, port: number): ProbeEndpoint | undefined {
  const asked = probe?.httpGet;
  if (asked === undefined || Number(asked.port) !== port) return undefined;
  const [path, other] = /^\/(?:tcp|grpc)\/([0-9]{1,5})(?:\/[^/]+)?$/.exec(asked.path ?? '') ?? [];
  if (path !== undefined) return { inboundPort: Number(other), inboundPath: path, path };
  const [, inboundPort, inboundPath] = /^\/([0-9]{1,5})(\/.*)?$/.exec(asked.path ?? '') ?? [];
  if (inboundPort === undefined) return undefined;
  return { inboundPort: Number(inboundPort), inboundPath: inboundPath ?? '/', path: asked.path! };
}
