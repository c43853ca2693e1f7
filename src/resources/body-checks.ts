import type { Kind } from './kind.ts';
import { type LabelContext, validateLabels } from './labels.ts';
import { validateMeshName, validateName } from './name.ts';
import type { ResourceMeta, Violation } from './resource.ts';
import type { ParsedBody } from './universal.ts';

/** Where a PUT went. `mesh` is '' for global kinds. */
export interface TargetUrl {
  readonly mesh: string;
  readonly name: string;
}

/**
 * Stage c of a PUT: the body against the URL, its labels, then the syntax of name and mesh; all of it, in this order.
 * Source: Kuma 2.11 `resourceEndpoints.validateResourceRequest`.
 */
export function checkBody(kind: Kind, body: ParsedBody, url: TargetUrl, context: LabelContext): readonly Violation[] {
  const { meta } = body.resource;
  const differs = (field: string) => ({ field, message: `${field} from the URL has to be the same as in body` });
  return [
    ...(meta.name === url.name ? [] : [differs('name')]),
    ...(body.type === kind.type ? [] : [differs('type')]),
    ...(kind.scope === 'Global' || meta.mesh === url.mesh ? [] : [differs('mesh')]),
    ...checkMeta(kind, meta, context),
  ];
}

/** What can be said of a resource without its spec and without a URL: its labels, then the syntax of name and mesh. */
export function checkMeta(kind: Kind, meta: ResourceMeta, context: LabelContext): readonly Violation[] {
  return [
    ...validateLabels(kind, meta, context),
    ...validateName(meta.name),
    ...(kind.scope === 'Mesh' ? validateMeshName(meta.mesh) : []),
  ];
}
