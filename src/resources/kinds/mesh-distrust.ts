import { z } from 'zod';
import type { Kind } from '../kind.ts';
import { type DeepReadonly, timestamp } from '../proto-json.ts';

/** What can be distrusted: one certificate, those of a service, those of a CA backend. */
export const DISTRUST_KINDS = ['leaf', 'service', 'backend'] as const;

/** A certificate that was in use, or still valid, when it was distrusted. */
const certificate = z.strictObject({
  /** Lower-case hex. */
  serial: z.string(),
  backend: z.string(),
  /** Name of the Dataplane. */
  proxy: z.string(),
  notAfter: timestamp(),
});

const entry = z.strictObject({
  kind: z.enum(DISTRUST_KINDS),
  /** Serial, service or backend. */
  name: z.string(),
  at: timestamp(),
  /** Who asked for it. */
  by: z.string(),
  reason: z.string().optional(),
  /** When the last of the certificates ends; absent: it holds until it is lifted. */
  until: timestamp().optional(),
  /** Clients of the service are refused by its identity, since its certificates can't be revoked. */
  denied: z.boolean().optional(),
  certificates: z.array(certificate),
});

/**
 * What a mesh trusts no more although its CAs would (decision 0026): the same for every control plane of a store, and after restarts. The control plane's own
 * record, served as `/meshes/{mesh}/_distrust`. Its name is the mesh's.
 */
const schema = z.strictObject({
  /** Grows with each entry that is added, and never falls: connections of before a number are ended when it comes. */
  epoch: z.number().int().nonnegative(),
  entries: z.array(entry),
});

export type MeshDistrustSpec = DeepReadonly<z.infer<typeof schema>>;
export type DistrustEntry = MeshDistrustSpec['entries'][number];
export type DistrustKind = DistrustEntry['kind'];

export const meshDistrustKind: Kind<MeshDistrustSpec> = {
  type: 'MeshDistrust',
  path: 'mesh-distrusts',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'mdi',
  singularDisplayName: 'Mesh Distrust',
  pluralDisplayName: 'Mesh Distrusts',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
