import jsonPatch from 'fast-json-patch';
import {
  type ContainerPatchSpec,
  type ContainerPatchStep,
  parseStepValue,
} from '../../resources/kinds/container-patch.ts';
import type { Violation } from '../../resources/resource.ts';
import { annotationField } from './annotations.ts';
import type { PodContainer } from './pod.ts';

/** ContainerPatches of the system namespace, by name. */
export type ContainerPatches = ReadonlyMap<string, ContainerPatchSpec>;

/**
 * The containers after the named patches, in order. Violations: a name without a ContainerPatch, a step that does not apply, a container that lost
 * its name. Source: Kuma 2.11 `custom_container_patches.go`.
 */
export function applyContainerPatches(
  containers: { readonly init: PodContainer; readonly sidecar: PodContainer },
  wanted: readonly string[],
  known: ContainerPatches,
): { readonly init: PodContainer; readonly sidecar: PodContainer } | { readonly violations: readonly Violation[] } {
  const violations: Violation[] = [];
  let { init, sidecar } = containers;
  for (const name of wanted) {
    const patch = known.get(name);
    if (patch === undefined) {
      violations.push({
        field: annotationField('kuma.io/container-patches'),
        message: `there is no ContainerPatch "${name}" in the namespace of the control plane`,
      });
      continue;
    }
    const change = (container: PodContainer, steps: readonly ContainerPatchStep[], field: string) => {
      const changed = applySteps(container, steps);
      if ('problem' in changed)
        violations.push({ field: `ContainerPatch ${name}: spec.${field}`, message: changed.problem });
      return 'problem' in changed ? container : changed.container;
    };
    init = change(init, patch.initPatch ?? [], 'initPatch');
    sidecar = change(sidecar, patch.sidecarPatch ?? [], 'sidecarPatch');
  }
  return violations.length > 0 ? { violations } : { init, sidecar };
}

function applySteps(
  container: PodContainer,
  steps: readonly ContainerPatchStep[],
): { readonly container: PodContainer } | { readonly problem: string } {
  if (steps.length === 0) return { container };
  // Steps were validated with their kind: each has what its operation needs.
  const operations = steps.map(({ value, ...step }) => ({
    ...step,
    ...(value !== undefined && { value: parseStepValue(value) }),
  })) as jsonPatch.Operation[];
  try {
    const { newDocument } = jsonPatch.applyPatch(structuredClone(container), operations, true);
    if (newDocument.name === container.name) return { container: newDocument };
    return { problem: `it changes the name of container ${container.name}, which must stay` };
  } catch (error) {
    const [reason] = error instanceof Error ? error.message.split('\n') : [String(error)];
    return { problem: `it does not apply to container ${container.name}: ${reason}` };
  }
}
