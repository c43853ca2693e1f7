import { z } from 'zod';
import type { Kind } from '../kind.ts';
import { type DeepReadonly, message, text, uint32 } from '../proto-json.ts';

const dataplaneStat = () =>
  message({ total: uint32(), online: uint32(), offline: uint32(), partiallyDegraded: uint32() });
const statByName = () => z.record(text(), dataplaneStat());
const totalByType = () => z.record(text(), message({ total: uint32() }));

/** Kuma's `mesh.v1alpha1.MeshInsight`; named after its Mesh. */
const schema = message({
  dataplanes: dataplaneStat(),
  policies: totalByType(),
  dpVersions: message({ kumaDp: statByName(), envoy: statByName() }),
  mTLS: message({ issuedBackends: statByName(), supportedBackends: statByName() }),
  services: message({ total: uint32(), internal: uint32(), external: uint32() }),
  dataplanesByType: message({
    standard: dataplaneStat(),
    gateway: dataplaneStat(),
    gatewayBuiltin: dataplaneStat(),
    gatewayDelegated: dataplaneStat(),
  }),
  resources: totalByType(),
});

export type MeshInsightSpec = DeepReadonly<z.infer<typeof schema>>;
export type DataplaneStat = NonNullable<MeshInsightSpec['dataplanes']>;

export const meshInsightKind: Kind<MeshInsightSpec> = {
  type: 'MeshInsight',
  path: 'mesh-insights',
  pathAliases: [],
  scope: 'Global',
  model: 'inline',
  shortName: '',
  singularDisplayName: 'Mesh Insight',
  pluralDisplayName: 'Mesh Insights',
  access: 'everyone',
  readOnly: true,
  internal: false,
  includeInFederation: false,
  globalOnly: true,
  kubernetesScope: 'Cluster',
  schema,
  validate: () => [],
};
