/** The containers and volumes that the injector adds. Source: Kuma 2.11 `pkg/plugins/runtime/k8s/containers`; `kuma-bootstrap` and Envoy alone are ours. */
import type { PodWishes } from './annotations.ts';
import {
  BOOTSTRAP_CONTAINER,
  BOOTSTRAP_VOLUME,
  INIT_CONTAINER,
  type PodContainer,
  SIDECAR_CONTAINER,
  TOKEN_VOLUME,
  type Volume,
} from './pod.ts';
import { cpuCount } from './quantity.ts';
import type { ContainerResources, InjectorSettings, ProbeTimes } from './settings.ts';

/** What the proxy's token is meant for; TokenReview asks for the same. */
export const TOKEN_AUDIENCE = 'weft-control-plane';
const TOKEN_LIFETIME_S = 3600;
const TOKEN_FOLDER = '/var/run/secrets/weft';
const BOOTSTRAP_FOLDER = '/var/run/weft';
/** What `weft dp bootstrap` writes there. */
const BOOTSTRAP_FILE = `${BOOTSTRAP_FOLDER}/bootstrap.yaml`;

export interface ContainerFacts {
  readonly wishes: PodWishes;
  readonly settings: InjectorSettings;
  readonly mesh: string;
  readonly namespace: string;
  readonly terminationGracePeriodSeconds: number;
}

/** Sets the redirect rules, as root with the capabilities that takes, and ends. */
export function initContainer({ wishes, settings }: ContainerFacts): PodContainer {
  return {
    name: INIT_CONTAINER,
    image: settings.init.image,
    imagePullPolicy: 'IfNotPresent',
    command: ['weft', 'install', 'transparent-proxy'],
    args: redirectArguments(wishes, settings),
    resources: resourcesOf(settings.init.resources),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

function redirectArguments(wishes: PodWishes, { sidecar }: InjectorSettings): string[] {
  // The kubelet asks the proxy itself whether it is ready, before there is a listener for redirected connections.
  const inboundPorts = [String(wishes.adminPort), wishes.excludeInboundPorts].filter((text) => text !== '').join(',');
  const given: readonly (readonly [flag: string, value: string])[] = [
    ['--kuma-dp-user', String(sidecar.uid)],
    ['--kuma-dp-group', String(sidecar.gid)],
    ['--redirect-inbound', wishes.gateway ? 'false' : ''],
    ['--redirect-inbound-port', String(wishes.redirectPortInbound)],
    ['--redirect-outbound-port', String(wishes.redirectPortOutbound)],
    ['--exclude-inbound-ports', inboundPorts],
    ['--exclude-outbound-ports', wishes.excludeOutboundPorts],
    ['--exclude-inbound-ips', wishes.excludeInboundIps],
    ['--exclude-outbound-ips', wishes.excludeOutboundIps],
    ['--exclude-outbound-ports-for-uids', wishes.excludeOutboundPortsForUids],
    ['--ip-family-mode', wishes.ipFamilyMode],
  ];
  return [
    ...given.filter(([, value]) => value !== '').map(([flag, value]) => `${flag}=${value}`),
    ...(wishes.dropInvalidPackets ? ['--drop-invalid-packets'] : []),
  ];
}

/** Asks the control plane for Envoy's bootstrap, writes it beside the sidecar, and ends: Envoy runs alone afterwards. */
export function bootstrapContainer(facts: ContainerFacts): PodContainer {
  const { settings, mesh, namespace, wishes } = facts;
  const name = namespace === settings.systemNamespace ? '$(POD_NAME)' : '$(POD_NAME).$(POD_NAMESPACE)';
  return {
    name: BOOTSTRAP_CONTAINER,
    image: settings.sidecar.image,
    imagePullPolicy: 'IfNotPresent',
    command: ['weft', 'dp', 'bootstrap'],
    env: envOf([
      ...podFields(),
      ['KUMA_CONTROL_PLANE_URL', settings.controlPlaneUrl],
      ['KUMA_CONTROL_PLANE_CA_CERT', settings.controlPlaneCa],
      ['KUMA_DATAPLANE_MESH', mesh],
      ['KUMA_DATAPLANE_NAME', name],
      ['KUMA_DATAPLANE_RUNTIME_TOKEN_PATH', `${TOKEN_FOLDER}/token`],
      ['KUMA_DATAPLANE_RUNTIME_CONFIG_DIR', BOOTSTRAP_FOLDER],
      ...Object.entries(wishes.env),
    ]),
    resources: resourcesOf(settings.sidecar.resources),
    securityContext: unprivileged(settings),
    volumeMounts: [
      { name: BOOTSTRAP_VOLUME, mountPath: BOOTSTRAP_FOLDER },
      { name: wishes.tokenVolume || TOKEN_VOLUME, mountPath: TOKEN_FOLDER, readOnly: true },
    ],
  };
}

/** Envoy, and nothing else. */
export function sidecarContainer(facts: ContainerFacts): PodContainer {
  const { settings, wishes } = facts;
  const { sidecar } = settings;
  const seconds = preStopSeconds(facts);
  return {
    name: SIDECAR_CONTAINER,
    image: sidecar.image,
    imagePullPolicy: 'IfNotPresent',
    command: ['envoy'],
    args: envoyArguments(facts),
    env: envOf([...podFields(), ...Object.entries(wishes.env)]),
    ...(sidecar.native && { restartPolicy: 'Always', startupProbe: readyProbe(wishes, sidecar.startupProbe) }),
    readinessProbe: { ...readyProbe(wishes, sidecar.readinessProbe), successThreshold: 1 },
    livenessProbe: readyProbe(wishes, sidecar.livenessProbe),
    ...(seconds > 0 && { lifecycle: { preStop: sidecar.native ? { sleep: { seconds } } : { exec: pause(seconds) } } }),
    resources: resourcesOf(sidecar.resources),
    securityContext: unprivileged(settings),
    volumeMounts: [
      { name: BOOTSTRAP_VOLUME, mountPath: BOOTSTRAP_FOLDER, readOnly: true },
      { name: wishes.tokenVolume || TOKEN_VOLUME, mountPath: TOKEN_FOLDER, readOnly: true },
    ],
  };
}

function envoyArguments({ wishes, settings }: ContainerFacts): string[] {
  const concurrency = wishes.concurrency ?? workersFor(settings.sidecar.resources.limits.cpu);
  return [
    ['--config-path', BOOTSTRAP_FILE],
    ['--drain-time-s', String(Math.ceil(wishes.drainTimeMs / 1000))],
    ['--drain-strategy', 'immediate'],
    ['--disable-hot-restart'],
    ['--log-level', wishes.envoyLogLevel],
    wishes.envoyComponentLogLevel === '' ? [] : ['--component-log-level', wishes.envoyComponentLogLevel],
    concurrency === 0 ? [] : ['--concurrency', String(concurrency)],
  ].flat();
}

/** One worker per CPU of the limit, at least two; 0, all CPUs, without a limit. Source: Kuma 2.11 `sidecar_container.go`. */
function workersFor(cpuLimit: string): number {
  const cpus = cpuCount(cpuLimit);
  return cpus === undefined ? 0 : Math.max(2, Math.ceil(cpus));
}

/** Longest that a Pod that is otherwise gone is held. */
const LONGEST_PRE_STOP_S = 5;

/**
 * Envoy outlives the application by at least this. Kubernetes stops a native sidecar after the containers, but right after: what the application
 * answered last may still be on its way, and clients that have not heard yet that the Pod goes get an answer instead of a refused connection.
 * Beside the others (not native), Envoy would be stopped at the same moment as they. See docs/decisions/0012-sidecar-life-cycle.md.
 */
function preStopSeconds({ wishes, settings, terminationGracePeriodSeconds }: ContainerFacts): number {
  const drainS = Math.ceil(wishes.drainTimeMs / 1000);
  const most = settings.sidecar.native ? LONGEST_PRE_STOP_S : drainS;
  return Math.max(0, Math.min(most, drainS, terminationGracePeriodSeconds - 1));
}

/** Clusters without native sidecars have no `sleep` action either, and the image no shell. */
function pause(seconds: number) {
  return { command: ['node', '-e', `setTimeout(() => {}, ${seconds * 1000})`] };
}

/** The proxy's own listener on the Pod's address, which comes with its configuration: 200 says that Envoy has it, certificates included. */
function readyProbe({ adminPort }: PodWishes, times: ProbeTimes) {
  return {
    httpGet: { path: '/ready', port: adminPort, scheme: 'HTTP' },
    initialDelaySeconds: times.initialDelaySeconds,
    timeoutSeconds: times.timeoutSeconds,
    periodSeconds: times.periodSeconds,
    failureThreshold: times.failureThreshold,
  };
}

function unprivileged({ sidecar }: InjectorSettings) {
  return {
    runAsUser: sidecar.uid,
    runAsGroup: sidecar.gid,
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** The bootstrap's folder, and the token unless the Pod brings one. */
export function volumesOf({ tokenVolume }: PodWishes): readonly Volume[] {
  const token: Volume = {
    name: TOKEN_VOLUME,
    projected: {
      sources: [
        {
          serviceAccountToken: { audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_LIFETIME_S, path: 'token' },
        } as { readonly serviceAccountToken: { readonly audience: string } },
      ],
    },
  };
  return [{ name: BOOTSTRAP_VOLUME, emptyDir: {} }, ...(tokenVolume === '' ? [token] : [])];
}

type Env = readonly (readonly [name: string, value: string | { readonly fieldPath: string }])[];

function podFields(): Env {
  return [
    ['POD_NAME', { fieldPath: 'metadata.name' }],
    ['POD_NAMESPACE', { fieldPath: 'metadata.namespace' }],
    ['POD_UID', { fieldPath: 'metadata.uid' }],
    ['INSTANCE_IP', { fieldPath: 'status.podIP' }],
  ];
}

/** The last one of a name counts. */
function envOf(env: Env) {
  return [...new Map(env)].map(([name, value]) =>
    typeof value === 'string'
      ? { name, value }
      : { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: value.fieldPath } } },
  );
}

function resourcesOf({ requests, limits }: ContainerResources) {
  const filled = (amounts: ContainerResources['requests']) =>
    Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== ''));
  return { requests: filled(requests), limits: filled(limits) };
}
