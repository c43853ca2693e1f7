import type { Container, ContainerStatus, Pod, Probe } from '../api/core-kinds.ts';

/**
 * A Pod with what the controllers read, and no more: a cluster has many Pods, most of them not ours, and whole ones are ten times as large.
 * A Pod the injector never saw keeps its name only. Pure.
 */
export function slimPod(pod: Pod): Pod {
  const { metadata, spec, status } = pod;
  const { name, namespace, uid, resourceVersion } = metadata;
  const annotations = Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).filter(([key]) => key.includes('kuma.io/')),
  );
  const identity = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  if (annotations['kuma.io/sidecar-injected'] === undefined) return { metadata: identity };
  return {
    metadata: {
      ...identity,
      annotations,
      ...pick(metadata, ['labels', 'ownerReferences', 'deletionTimestamp']),
    },
    spec: {
      ...pick(spec ?? {}, ['nodeName', 'serviceAccountName']),
      containers: (spec?.containers ?? []).map(slimContainer),
      initContainers: (spec?.initContainers ?? []).map(slimContainer),
    },
    status: {
      ...pick(status ?? {}, ['phase', 'reason', 'podIP', 'podIPs']),
      containerStatuses: (status?.containerStatuses ?? []).map(slimStatus),
      initContainerStatuses: (status?.initContainerStatuses ?? []).map(slimStatus),
    },
  };
}

function slimContainer(container: Container): Container {
  const probes = (['livenessProbe', 'readinessProbe', 'startupProbe'] as const).flatMap((which) => {
    const probe = slimProbe(container[which]);
    return probe === undefined ? [] : [[which, probe] as const];
  });
  return { ...pick(container, ['name', 'ports', 'restartPolicy']), ...Object.fromEntries(probes) };
}

function slimProbe(probe: Probe | undefined): Probe | undefined {
  return probe?.httpGet === undefined ? undefined : { httpGet: pick(probe.httpGet, ['path', 'port']) };
}

function slimStatus({ name, ready }: ContainerStatus): ContainerStatus {
  return { name, ready };
}

/** The named fields that are there. */
function pick<T extends object, K extends keyof T>(object: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.flatMap((key) => (object[key] === undefined ? [] : [[key, object[key]]]))) as Pick<
    T,
    K
  >;
}
