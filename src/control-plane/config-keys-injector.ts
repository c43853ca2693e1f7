import { parsePortRanges } from '../lib/ranges.ts';
import { count, duration, flag, list, oneOf, port, portList, quantity, text, textMap } from './config-setting.ts';

/** Sidecars and init containers of Pods: `runtime.kubernetes.injector`. Keys and environment names follow Kuma 2.11-2.14. */

/** Kuma's defaults, but for the start: everything in a Pod waits for it, so it is looked at every second, for as long. */
const STARTUP = { initialDelaySeconds: 0, timeoutSeconds: 3, periodSeconds: 1, failureThreshold: 60 };
const READINESS = { initialDelaySeconds: 1, timeoutSeconds: 3, periodSeconds: 5, failureThreshold: 12 };
const LIVENESS = { initialDelaySeconds: 60, timeoutSeconds: 3, periodSeconds: 5, failureThreshold: 12 };

function probe(name: string, times: typeof READINESS) {
  return {
    initialDelaySeconds: count(times.initialDelaySeconds, `Seconds before the first ${name} probe.`),
    timeoutSeconds: count(times.timeoutSeconds, `Seconds that a ${name} probe may take.`),
    periodSeconds: count(times.periodSeconds, `Seconds between ${name} probes.`),
    failureThreshold: count(times.failureThreshold, `So many ${name} probes that fail in a row count.`),
  };
}

/** `envPrefix`: where the names do not follow from the path. */
function resources(
  whose: string,
  envPrefix: string,
  defaults: Readonly<Record<'requests' | 'limits', { cpu: string; memory: string }>>,
) {
  const amounts = (kind: 'requests' | 'limits') => {
    const env = (name: string) => ({ env: `${envPrefix}_${kind.toUpperCase()}_${name}` });
    return {
      cpu: quantity(defaults[kind].cpu, `CPU ${kind} of ${whose}. Empty: none.`, env('CPU')),
      memory: quantity(defaults[kind].memory, `Memory ${kind} of ${whose}. Empty: none.`, env('MEMORY')),
    };
  };
  return { requests: amounts('requests'), limits: amounts('limits') };
}

const traffic = (name: string) => ({ env: `KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_${name}` });

export const INJECTOR_KEYS = {
  caCertFile: text(
    '',
    "PEM file with the CA that sidecars check the control plane against. Empty: the CA of the control plane's own certificate.",
  ),
  virtualProbesEnabled: flag(
    true,
    'HTTP, TCP and gRPC probes of the application are asked through the proxy; a Pod may say otherwise.',
    {
      env: 'KUMA_RUNTIME_KUBERNETES_VIRTUAL_PROBES_ENABLED',
    },
  ),
  virtualProbesPort: port(9000, 'Port where the proxy answers them.', {
    env: 'KUMA_RUNTIME_KUBERNETES_VIRTUAL_PROBES_PORT',
  }),
  containerPatches: list([], 'ContainerPatches of the system namespace for Pods that name none.'),
  exceptions: {
    labels: textMap(
      { 'openshift.io/build.name': '*', 'openshift.io/deployer-pod-for.name': '*' },
      'Pods with one of these labels get no sidecar; `*` is any value.',
      { env: 'KUMA_RUNTIME_KUBERNETES_EXCEPTIONS_LABELS' },
    ),
  },
  initContainer: {
    image: text('', 'Image of the init container that sets the redirect rules.', {
      env: 'KUMA_INJECTOR_INIT_CONTAINER_IMAGE',
      defaultText: 'weft/proxy:<version>',
    }),
    resources: resources('the init container', 'KUMA_INJECTOR_INIT_CONTAINER_RESOURCES', {
      requests: { cpu: '20m', memory: '64Mi' },
      limits: { cpu: '1000m', memory: '256Mi' },
    }),
  },
  sidecarContainer: {
    image: text('', 'Image of the sidecar, and of the init container that fetches its bootstrap.', {
      defaultText: 'weft/proxy:<version>',
    }),
    adminPort: port(9901, 'Port of the Envoy admin API, and of readiness on the address of the Pod.'),
    drainTime: duration('30s', 'How long Envoy lets connections of a changed listener end.'),
    uid: count(5678, 'User that runs Envoy; what it sends is not redirected.'),
    gid: count(5678, 'Group that runs Envoy.', { env: 'KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_GUI' }),
    redirectPortInbound: port(15006, 'Where Envoy takes redirected connections that come in.'),
    redirectPortOutbound: port(15001, 'Where Envoy takes redirected connections that go out.'),
    ipFamilyMode: oneOf('dualstack', ['dualstack', 'ipv4'], 'Which IP families are redirected.'),
    envVars: textMap({}, 'Environment variables of the sidecar.'),
    startupProbe: probe('startup', STARTUP),
    readinessProbe: probe('readiness', READINESS),
    livenessProbe: probe('liveness', LIVENESS),
    resources: resources('the sidecar', 'KUMA_INJECTOR_SIDECAR_CONTAINER_RESOURCES', {
      requests: { cpu: '50m', memory: '64Mi' },
      limits: { cpu: '1000m', memory: '512Mi' },
    }),
  },
  sidecarTraffic: {
    excludeInboundPorts: portList(
      parsePortRanges,
      'Ports of the application that are reached directly; a Pod may say otherwise.',
      traffic('EXCLUDE_INBOUND_PORTS'),
    ),
    excludeOutboundPorts: portList(
      parsePortRanges,
      'Ports of destinations that are reached directly.',
      traffic('EXCLUDE_OUTBOUND_PORTS'),
    ),
    excludeInboundIPs: list([], 'Clients (addresses, CIDRs) that come in directly.', traffic('EXCLUDE_INBOUND_IPS')),
    excludeOutboundIPs: list(
      [],
      'Destinations (addresses, CIDRs) that are reached directly.',
      traffic('EXCLUDE_OUTBOUND_IPS'),
    ),
  },
};
