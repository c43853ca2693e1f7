import { readFile } from 'node:fs/promises';
import type { KubeClient } from '../k8s/api/client.ts';
import { KubeError } from '../k8s/api/client.ts';
import type { Namespace } from '../k8s/api/core-kinds.ts';
import { kindResourceType } from '../k8s/api/kind-type.ts';
import type { KubeObject } from '../k8s/api/object.ts';
import { type InjectionResult, injectSidecar, patchesWantedBy } from '../k8s/inject/inject.ts';
import type { AdmittedPod } from '../k8s/inject/pod.ts';
import type { Logger } from '../lib/log.ts';
import type { Kind } from '../resources/kind.ts';
import { type ContainerPatchSpec, containerPatchKind } from '../resources/kinds/container-patch.ts';
import type { ControlPlaneConfig } from './config.ts';
import { injectorSettings } from './injector-settings.ts';

/** Decides about one Pod. Throws `KubeError` when a ContainerPatch could not be read. */
export type PodInjector = (pod: AdmittedPod, namespace: Namespace) => Promise<InjectionResult>;

/**
 * The injector with what it needs of this control plane. `caPem`: CA of the data plane port, unless the configuration names a file, which is read
 * once; rejects when that fails.
 */
export async function createPodInjector(options: {
  readonly config: ControlPlaneConfig;
  readonly caPem: string;
  readonly client: Pick<KubeClient, 'get'>;
  readonly log: Logger;
}): Promise<PodInjector> {
  const { config, client, log } = options;
  const { caCertFile } = config.runtime.kubernetes.injector;
  const settings = injectorSettings(config, caCertFile === '' ? options.caPem : await readFile(caCertFile, 'utf8'));
  return async (pod, { metadata }) => {
    const namespace = { name: metadata.name, labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} };
    const containerPatches = await readPatches(client, settings.systemNamespace, patchesWantedBy(pod, settings));
    const result = injectSidecar({ pod, namespace, settings, containerPatches });
    const name = pod.metadata?.name ?? `${pod.metadata?.generateName ?? ''}*`;
    const about = { pod: name, namespace: namespace.name };
    if (result.kind === 'skipped') log.debug('pod left without a sidecar', { ...about, reason: result.reason });
    else if (result.kind === 'injected') log.debug('sidecar injected', about);
    else log.info('pod refused', { ...about, violations: result.violations });
    return result;
  };
}

/** Those that are there, of the system namespace, as the API server has them now. */
async function readPatches(client: Pick<KubeClient, 'get'>, namespace: string, names: readonly string[]) {
  const type = kindResourceType(containerPatchKind as Kind);
  const found = new Map<string, ContainerPatchSpec>();
  for (const name of names) {
    try {
      const { spec } = await client.get<KubeObject & { readonly spec?: ContainerPatchSpec }>(type, { namespace, name });
      found.set(name, spec ?? {});
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'not-found')) throw error;
    }
  }
  return found;
}
