import { z } from 'zod';
import type { DeepReadonly } from '../../resources/proto-json.ts';

/** Every targetRef kind, in the order in which error texts list them. Source: Kuma 2.11 `common/v1alpha1`. */
const TARGET_REF_KINDS = [
  'Mesh',
  'MeshSubset',
  'MeshGateway',
  'MeshService',
  'MeshExternalService',
  'MeshMultiZoneService',
  'MeshServiceSubset',
  'MeshHTTPRoute',
  'Dataplane',
] as const;

export type TargetRefKind = (typeof TARGET_REF_KINDS)[number];

/** A reference to what a policy is for: a resource, or a group described in place. */
export const targetRefSchema = z.strictObject({
  kind: z.enum(TARGET_REF_KINDS),
  name: z.string().optional(),
  namespace: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  mesh: z.string().optional(),
  proxyTypes: z.array(z.enum(['Sidecar', 'Gateway'])).optional(),
  sectionName: z.string().optional(),
});

export type TargetRef = DeepReadonly<z.infer<typeof targetRefSchema>>;

/** What an absent top-level `targetRef` means. */
export const WHOLE_MESH: TargetRef = { kind: 'Mesh' };
