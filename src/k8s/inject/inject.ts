/**
 * What the injector makes of a Pod. Pure: a Pod, its Namespace and settings in, a Pod out.
 *
 *     initContainers   kuma-init        redirect rules, root for a moment
 *                      kuma-bootstrap   asks the control plane for Envoy's bootstrap, writes it to an emptyDir
 *                      kuma-sidecar     Envoy alone, stays (restartPolicy Always); what follows waits until it is ready
 *                      ...              those of the user
 *     containers       ...              those of the user, HTTP probes asked through the proxy
 */
import { parsePortRanges } from '../../lib/ranges.ts';
import type { Violation } from '../../resources/resource.ts';
import { annotationField, annotationWarnings, MESH_LABEL, type PodWishes, readWishes } from './annotations.ts';
import { applyContainerPatches, type ContainerPatches } from './container-patches.ts';
import { bootstrapContainer, initContainer, sidecarContainer, TOKEN_AUDIENCE, volumesOf } from './containers.ts';
import { decideInjection, meshOfPod } from './decide.ts';
import {
  type AdmittedPod,
  BOOTSTRAP_CONTAINER,
  BOOTSTRAP_VOLUME,
  INIT_CONTAINER,
  type NamespaceFacts,
  type PodContainer,
  type PodSpec,
  SIDECAR_CONTAINER,
  TOKEN_VOLUME,
} from './pod.ts';
import { isNativeSidecar, moveProbes, probeWarnings } from './probes.ts';
import type { InjectorSettings } from './settings.ts';

export interface Injection {
  readonly pod: AdmittedPod;
  readonly namespace: NamespaceFacts;
  readonly settings: InjectorSettings;
  readonly containerPatches: ContainerPatches;
}

export type InjectionResult =
  /** `warnings` are for whoever created the Pod. */
  | { readonly kind: 'injected'; readonly pod: AdmittedPod; readonly warnings: readonly string[] }
  /** `reason` is for the log. */
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'refused'; readonly violations: readonly Violation[] };

const CONTAINERS = new Set([INIT_CONTAINER, BOOTSTRAP_CONTAINER, SIDECAR_CONTAINER]);
const VOLUMES = new Set([BOOTSTRAP_VOLUME, TOKEN_VOLUME]);
const INJECTED = 'kuma.io/sidecar-injected';
const DEFAULT_GRACE_S = 30;

/** Names of the ContainerPatches that a Pod is injected with; none that can't be read. For whoever has to fetch them first. */
export function patchesWantedBy(pod: AdmittedPod, settings: InjectorSettings): readonly string[] {
  const read = readWishes(pod.metadata?.annotations ?? {}, settings);
  return 'wishes' in read ? read.wishes.containerPatches : [];
}

/** A Pod that was injected before gets the same again: what is ours is made anew, what is the user's stays as it is. */
export function injectSidecar(injection: Injection): InjectionResult {
  const { namespace, settings } = injection;
  const decision = decideInjection(injection.pod, namespace, settings);
  if (decision.kind === 'skip') return { kind: 'skipped', reason: decision.reason };
  if (decision.kind === 'refuse') return { kind: 'refused', violations: decision.violations };

  const pod = withoutOurs(injection.pod);
  const annotations = pod.metadata?.annotations ?? {};
  const read = readWishes(annotations, settings);
  if ('violations' in read) return { kind: 'refused', violations: read.violations };
  const { wishes } = read;
  const problems = [...takenNames(pod), ...problemsOf(pod, wishes, settings)];
  if (problems.length > 0) return { kind: 'refused', violations: problems };

  const mesh = meshOfPod(pod, namespace);
  const facts = {
    wishes,
    settings,
    mesh,
    namespace: namespace.name,
    terminationGracePeriodSeconds: pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S,
  };
  const patched = applyContainerPatches(
    { init: initContainer(facts), sidecar: sidecarContainer(facts) },
    wishes.containerPatches,
    injection.containerPatches,
  );
  if ('violations' in patched) return { kind: 'refused', violations: patched.violations };
  const ours = { ...patched, bootstrap: bootstrapContainer(facts) };
  return {
    kind: 'injected',
    pod: {
      ...pod,
      metadata: { ...pod.metadata, annotations: { ...annotations, ...writtenBack(wishes, settings, mesh) } },
      spec: specOf(pod.spec ?? {}, ours, wishes, settings),
    },
    warnings: [
      ...annotationWarnings(annotations),
      ...podWarnings(pod, wishes, settings),
      ...(wishes.probes.enabled ? unmovedProbes(pod, wishes) : []),
    ],
  };
}

/** Without what an earlier injection added. A Pod that was not injected keeps everything. */
function withoutOurs(pod: AdmittedPod): AdmittedPod {
  const { spec } = pod;
  if (pod.metadata?.annotations?.[INJECTED] !== 'true' || spec === undefined) return pod;
  const others = (list: readonly PodContainer[]) => list.filter(({ name }) => !CONTAINERS.has(name));
  return {
    ...pod,
    spec: {
      ...spec,
      ...(spec.containers && { containers: others(spec.containers) }),
      ...(spec.initContainers && { initContainers: others(spec.initContainers) }),
      ...(spec.volumes && { volumes: spec.volumes.filter(({ name }) => !VOLUMES.has(name)) }),
    },
  };
}

function takenNames({ spec = {} }: AdmittedPod): Violation[] {
  const taken = (field: string, names: ReadonlySet<string>, list: readonly { readonly name: string }[] = []) =>
    list.flatMap(({ name }, index) =>
      names.has(name)
        ? [{ field: `spec.${field}[${index}].name`, message: `"${name}" is a name of the injector` }]
        : [],
    );
  return [
    ...taken('containers', CONTAINERS, spec.containers),
    ...taken('initContainers', CONTAINERS, spec.initContainers),
    ...taken('volumes', VOLUMES, spec.volumes),
  ];
}

function problemsOf({ spec = {} }: AdmittedPod, wishes: PodWishes, { sidecar }: InjectorSettings): Violation[] {
  const problems: Violation[] = [];
  const refuse = (name: string, message: string) => problems.push({ field: annotationField(name), message });
  if (wishes.tokenVolume !== '' && !spec.volumes?.some(({ name }) => name === wishes.tokenVolume))
    refuse('kuma.io/service-account-token-volume', `the Pod has no volume "${wishes.tokenVolume}"`);
  if (!sidecar.native && wishes.waitForProxy === true)
    refuse(
      'kuma.io/wait-for-dataplane-ready',
      'containers wait for the proxy only where it is a native sidecar (Kubernetes 1.29 or newer, experimental.sidecarContainers)',
    );
  return problems;
}

function podWarnings({ spec = {} }: AdmittedPod, wishes: PodWishes, { sidecar }: InjectorSettings): string[] {
  const warnings: string[] = [];
  const { runAsUser, runAsGroup } = spec.securityContext ?? {};
  for (const { name, securityContext = {}, ports = [] } of [
    ...(spec.initContainers ?? []),
    ...(spec.containers ?? []),
  ]) {
    const user = securityContext.runAsUser ?? runAsUser;
    const group = securityContext.runAsGroup ?? runAsGroup;
    if (user === sidecar.uid || group === sidecar.gid)
      warnings.push(
        `container ${name} runs as user or group ${sidecar.uid}, as the proxy does: what it sends goes past the proxy, without mTLS`,
      );
    const proxyPorts = [wishes.adminPort, wishes.redirectPortInbound, wishes.redirectPortOutbound];
    if (wishes.probes.enabled) proxyPorts.push(wishes.probes.port);
    for (const { containerPort } of ports) {
      if (proxyPorts.includes(containerPort))
        warnings.push(`container ${name} has port ${containerPort}, which the proxy uses`);
    }
  }
  if (sidecar.native && wishes.waitForProxy === false)
    warnings.push(
      'annotation kuma.io/wait-for-dataplane-ready has no effect: containers always wait for a native sidecar',
    );
  const volume = spec.volumes?.find(({ name }) => name === wishes.tokenVolume);
  const audiences = volume?.projected?.sources?.flatMap(
    ({ serviceAccountToken }) => serviceAccountToken?.audience ?? [],
  );
  if (volume !== undefined && !audiences?.includes(TOKEN_AUDIENCE))
    warnings.push(
      `volume ${volume.name} holds no token for audience ${TOKEN_AUDIENCE}: the control plane will refuse the proxy`,
    );
  return warnings;
}

function unmovedProbes(pod: AdmittedPod, { excludeInboundPorts }: PodWishes): readonly string[] {
  const excluded = parsePortRanges(excludeInboundPorts) ?? [];
  return probeWarnings(pod, (port) => excluded.some(({ from, to }) => from <= port && port <= to));
}

/** What controllers and people read off the Pod. Source: Kuma 2.11 `NewAnnotations`. */
function writtenBack(wishes: PodWishes, { sidecar }: InjectorSettings, mesh: string): Readonly<Record<string, string>> {
  return {
    [INJECTED]: 'true',
    [MESH_LABEL]: mesh,
    'kuma.io/sidecar-uid': String(sidecar.uid),
    'kuma.io/envoy-admin-port': String(wishes.adminPort),
    'kuma.io/transparent-proxying': 'enabled',
    'kuma.io/transparent-proxying-inbound-port': String(wishes.redirectPortInbound),
    'kuma.io/transparent-proxying-outbound-port': String(wishes.redirectPortOutbound),
    'kuma.io/transparent-proxying-ip-family-mode': wishes.ipFamilyMode,
    'kuma.io/virtual-probes': wishes.probes.enabled ? 'enabled' : 'disabled',
    ...(wishes.probes.enabled && { 'kuma.io/virtual-probes-port': String(wishes.probes.port) }),
  };
}

function specOf(
  spec: PodSpec,
  ours: { readonly init: PodContainer; readonly bootstrap: PodContainer; readonly sidecar: PodContainer },
  wishes: PodWishes,
  { sidecar }: InjectorSettings,
): PodSpec {
  const move = (container: PodContainer) =>
    wishes.probes.enabled ? moveProbes(container, wishes.probes.port) : container;
  const usersInit = (spec.initContainers ?? []).map((container) =>
    isNativeSidecar(container) ? move(container) : container,
  );
  const ourInit = [ours.init, ours.bootstrap, ...(sidecar.native ? [ours.sidecar] : [])];
  const containers = (spec.containers ?? []).map(move);
  return {
    ...spec,
    // Without a native sidecar, what init containers send would be redirected to a proxy that does not run yet.
    initContainers: (wishes.initFirst ?? sidecar.native) ? [...ourInit, ...usersInit] : [...usersInit, ...ourInit],
    containers: sidecar.native ? containers : [...containers, ours.sidecar],
    volumes: [...(spec.volumes ?? []), ...volumesOf(wishes)],
  };
}
