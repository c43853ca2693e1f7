/** What a Pod's status says about its containers. Source: Kuma 2.11 `podReady`. */
import type { Container, Pod } from '../api/core-kinds.ts';

/** The injected proxy; an ordinary container, or an init container that stays (native sidecar). */
export const SIDECAR = 'kuma-sidecar';

/** Containers of the application. */
export function applicationContainers(pod: Pod): readonly Container[] {
  return (pod.spec?.containers ?? []).filter(({ name }) => name !== SIDECAR);
}

/** False when a status says so: a container without a status yet is taken to be ready. */
function isContainerReady(pod: Pod, name: string): boolean {
  return pod.status?.containerStatuses?.find((one) => one.name === name)?.ready ?? true;
}

function isSidecarReady(pod: Pod): boolean {
  const status = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
    ({ name }) => name === SIDECAR,
  );
  return status?.ready ?? true;
}

/** Takes traffic for `container`; for the whole application when no container says that it has the port. A terminating Pod takes none. */
export function isReady(pod: Pod, container: Container | undefined): boolean {
  if (pod.metadata.deletionTimestamp !== undefined || !isSidecarReady(pod)) return false;
  const serving = container === undefined ? applicationContainers(pod) : [container];
  return serving.every(({ name }) => isContainerReady(pod, name));
}

/** Over for good, or without an address: there is nothing for a proxy to be. `undefined`: it lives. Source: Kuma 2.11 `reconcileDataplane`. */
export function goneReason(pod: Pod): string | undefined {
  const { phase, reason, podIP } = pod.status ?? {};
  if (phase === 'Succeeded') return 'pod succeeded';
  if (reason === 'Evicted') return 'pod was evicted';
  if (phase === 'Failed') return 'pod failed';
  return podIP === undefined || podIP === '' ? 'pod IP is empty' : undefined;
}
