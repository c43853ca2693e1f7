import { z } from 'zod';
import type { Kind } from '../kind.ts';
import { type DeepReadonly, message, text, uint32 } from '../proto-json.ts';

/** Kuma's `mesh.v1alpha1.ServiceInsight`; one per mesh, named `all-services-<mesh>`. */
const schema = message({
  services: z.record(
    text(),
    message({
      /** `none` is the zero value and never printed. */
      status: z.enum(['none', 'offline', 'partially_degraded', 'online', 'not_available']),
      dataplanes: message({ total: uint32(), online: uint32(), offline: uint32() }),
      issuedBackends: z.record(text(), uint32()),
      serviceType: z.enum(['internal', 'external', 'gateway_delegated', 'gateway_builtin']),
      addressPort: text(),
      zones: z.array(text()),
    }),
  ),
});

export type ServiceInsightSpec = DeepReadonly<z.infer<typeof schema>>;
export type ServiceOverview = NonNullable<ServiceInsightSpec['services']>[string];

export const serviceInsightKind: Kind<ServiceInsightSpec> = {
  type: 'ServiceInsight',
  path: 'service-insights',
  pathAliases: [],
  scope: 'Mesh',
  model: 'inline',
  shortName: '',
  singularDisplayName: 'Service Insight',
  pluralDisplayName: 'Service Insights',
  access: 'everyone',
  readOnly: true,
  internal: false,
  includeInFederation: false,
  globalOnly: true,
  kubernetesScope: 'Cluster',
  schema,
  validate: () => [],
};
