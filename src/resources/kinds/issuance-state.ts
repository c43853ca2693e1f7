import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';

const epochMs = z.number();

/**
 * What issuance knows of one CA backend of a mesh and must not forget at a restart: how long it is left alone, who waits, how slowly it is asked. The control
 * plane's own record: never served, never synced. Of several control planes the last one writes. Decision 0022.
 */
const schema = z.strictObject({
  backend: z.string(),
  /** Hash of the backend's type and conf that it is about. */
  conf: z.string(),
  memory: z.strictObject({
    /** Requests a second that throttling left. */
    slowedTo: z.number().optional(),
    breaker: z.strictObject({ opened: z.number(), openUntil: epochMs }).optional(),
    refusals: z.strictObject({ attempts: z.number(), nextTurn: epochMs, proxies: z.array(z.string()) }).optional(),
    failures: z
      .array(z.strictObject({ proxy: z.string(), attempts: z.number(), since: epochMs, nextAttemptAt: epochMs }))
      .optional(),
    lastError: z.string().optional(),
  }),
});

export type IssuanceStateSpec = DeepReadonly<z.infer<typeof schema>>;

export const issuanceStateKind: Kind<IssuanceStateSpec> = {
  type: 'IssuanceState',
  path: 'issuance-states',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'ist',
  singularDisplayName: 'Issuance State',
  pluralDisplayName: 'Issuance States',
  access: 'admin',
  readOnly: true,
  internal: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
