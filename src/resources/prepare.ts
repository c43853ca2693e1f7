import type { Kind } from './kind.ts';
import type { DataplaneSpec } from './kinds/dataplane.ts';
import { prepareDataplane } from './kinds/dataplane-prepare.ts';
import { computeLabels, type LabelContext } from './labels.ts';
import type { Resource } from './resource.ts';

/** The resource with its kind's defaults and without a status: what a writer may give. */
export function withDefaults(kind: Kind, { type, meta, spec }: Resource): Resource {
  return { type, meta, spec: kind.applyDefaults?.(spec) ?? spec };
}

/** What is written: the given spec, computed labels, and the status that is stored. `stored` is absent for a new resource. */
export function prepareResource(
  context: LabelContext,
  kind: Kind,
  given: Resource,
  stored: Resource | undefined,
): Resource {
  const spec =
    kind.type === 'Dataplane'
      ? prepareDataplane(given.spec as DataplaneSpec, { zone: context.zone, isNew: stored === undefined })
      : given.spec;
  const resource = { ...given, spec };
  return {
    ...resource,
    meta: { ...given.meta, labels: computeLabels(kind, resource, context) },
    ...(stored?.status === undefined ? {} : { status: stored.status }),
  };
}
