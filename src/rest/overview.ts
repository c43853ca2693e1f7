import type { Resource } from '../resources/resource.ts';
import type { OverviewTraits } from './kind-traits.ts';

/** A resource and its insight (when there is one) in one object; old-model form. `spec` parts are in their printed form already. */
export function overviewBody(
  traits: OverviewTraits,
  resource: Resource,
  spec: object,
  insightSpec: object | undefined,
) {
  const { mesh, name, creationTime, modificationTime, labels } = resource.meta;
  return {
    type: traits.overviewType,
    ...(mesh === '' ? {} : { mesh }),
    name,
    creationTime,
    modificationTime,
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    [traits.field]: spec,
    ...(insightSpec ? { [traits.insightField]: insightSpec } : {}),
  };
}
