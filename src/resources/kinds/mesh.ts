import { z } from 'zod';
import { parseKumaDuration } from '../../lib/duration.ts';
import type { Kind } from '../kind.ts';
import { dns1035Warnings } from '../name.ts';
import {
  type DeepReadonly,
  doubleWrapper,
  duration,
  flag,
  flagWrapper,
  message,
  struct,
  text,
  textMap,
  uint32Wrapper,
} from '../proto-json.ts';
import { displayName } from '../well-known.ts';
import { withMetricsDefaults } from './mesh-metrics.ts';
import { validateMesh } from './mesh-validate.ts';

export type { DataSource } from './data-source.ts';

/** One CA of a mesh. `conf` is the backend's own; `ca/` reads and checks it. `limits` is Weft's: what the issuer may be asked at once and per second. */
const mtlsBackend = () =>
  message(
    {
      mode: z.enum(['STRICT', 'PERMISSIVE']),
      dpCert: message({ rotation: message({ expiration: text() }), requestTimeout: duration() }),
      rootChain: message({ requestTimeout: duration() }),
      limits: message({ concurrency: uint32Wrapper(), perSecond: doubleWrapper() }),
      conf: struct(),
    },
    { name: text(), type: text() },
  );

const tagRule = () => message({ tags: textMap() });

/** Kuma 2.11-2.14's `mesh.v1alpha1.Mesh`, `mtls` kept. */
const schema = message({
  mtls: message({ enabledBackend: text(), backends: z.array(mtlsBackend()), skipValidation: flag() }),
  tracing: message({
    defaultBackend: text(),
    backends: z.array(message({ name: text(), sampling: doubleWrapper(), type: text(), conf: struct() })),
  }),
  logging: message({
    defaultBackend: text(),
    backends: z.array(message({ name: text(), format: text(), type: text(), conf: struct() })),
  }),
  metrics: message({
    enabledBackend: text(),
    backends: z.array(message({ name: text(), type: text(), conf: struct() })),
  }),
  networking: message({ outbound: message({ passthrough: flagWrapper() }) }),
  routing: message({
    localityAwareLoadBalancing: flag(),
    zoneEgress: flag(),
    defaultForbidMeshExternalServiceAccess: flag(),
  }),
  constraints: message({
    dataplaneProxy: message({ requirements: z.array(tagRule()), restrictions: z.array(tagRule()) }),
  }),
  skipCreatingInitialPolicies: z.array(text()),
  meshServices: message({ mode: z.enum(['Disabled', 'Everywhere', 'ReachableBackends', 'Exclusive']) }),
});

export type MeshSpec = DeepReadonly<z.infer<typeof schema>>;
export type MeshMtls = NonNullable<MeshSpec['mtls']>;
export type MtlsBackend = NonNullable<MeshMtls['backends']>[number];
/** Tags of which every one must match; value `*` is "present". */
export type TagRule = DeepReadonly<z.infer<ReturnType<typeof tagRule>>>;
export type MetricsBackend = NonNullable<NonNullable<MeshSpec['metrics']>['backends']>[number];
export type LoggingBackend = NonNullable<NonNullable<MeshSpec['logging']>['backends']>[number];
export type TracingBackend = NonNullable<NonNullable<MeshSpec['tracing']>['backends']>[number];

export const meshKind: Kind<MeshSpec> = {
  type: 'Mesh',
  path: 'meshes',
  pathAliases: [],
  scope: 'Global',
  model: 'inline',
  shortName: 'm',
  singularDisplayName: 'Mesh',
  pluralDisplayName: 'Meshes',
  access: 'everyone',
  readOnly: false,
  internal: false,
  includeInFederation: true,
  globalOnly: true,
  kubernetesScope: 'Cluster',
  schema,
  applyDefaults: withMetricsDefaults,
  validate: validateMesh,
  warnings: (_spec, resource) => dns1035Warnings('Mesh', displayName(resource.meta)),
};

/** Source: Kuma 2.11 `pkg/core/ca/issuer`: a leaf lives 24 hours unless the backend says otherwise. */
const DEFAULT_LEAF_LIFETIME_MS = 24 * 3_600_000;

/** Life of the leaves of a backend, in ms. */
export function leafLifetimeMs(backend: MtlsBackend | undefined): number {
  return parseKumaDuration(backend?.dpCert?.rotation?.expiration ?? '') || DEFAULT_LEAF_LIFETIME_MS;
}

/** The backend that issues leaves now; `undefined` while mTLS is off. */
export function enabledMtlsBackend(spec: MeshSpec): MtlsBackend | undefined {
  const name = spec.mtls?.enabledBackend;
  return name === undefined || name === '' ? undefined : spec.mtls?.backends?.find((backend) => backend.name === name);
}
