import type { KubeObject } from '../k8s/api/object.ts';
import { completeValues, type ValueProblem } from './complete-values.ts';
import { controlPlaneTemplates } from './control-plane.ts';
import { CONTROL_PLANE_VALUES } from './control-plane-values.ts';
import { renderTemplates } from './render.ts';

export interface InstallOptions {
  /** The system namespace. */
  readonly namespace: string;
  readonly version: string;
  /** Values of the chart, later ones winning; what is left out has its default. */
  readonly values: readonly unknown[];
  /** Our CRDs. */
  readonly crds: readonly KubeObject[];
}

/** Values that do not fit, all of them. */
export class ValuesError extends Error {
  readonly code = 'invalid-values';
  readonly problems: readonly ValueProblem[];
  constructor(problems: readonly ValueProblem[]) {
    super(`read values: ${problems.map(({ field, reason }) => `${field}: ${reason}`).join('; ')}`);
    this.name = 'ValuesError';
    this.problems = problems;
  }
}

/**
 * The objects of a control plane in the order they are applied in: Namespace, CRDs, rights, the rest, webhooks last. The same as the chart gives
 * for the same values. Throws `ValuesError`.
 */
export function controlPlaneManifests(options: InstallOptions): readonly KubeObject[] {
  const { values, problems } = completeValues(CONTROL_PLANE_VALUES, options.values);
  if (problems.length > 0) throw new ValuesError(problems);
  const templates = controlPlaneTemplates().map(({ template }) => template);
  // Each template is an object with a name, by construction.
  const objects = renderTemplates(templates, { ...options, values }) as readonly KubeObject[];
  const isNamespace = (object: KubeObject) => object.kind === 'Namespace';
  const crds = values['crds'] as { readonly enabled: boolean };
  return [
    ...objects.filter(isNamespace),
    ...(crds.enabled ? options.crds : []),
    ...objects.filter((object) => !isNamespace(object)),
  ];
}
