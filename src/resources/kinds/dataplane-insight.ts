import { z } from 'zod';
import type { Kind } from '../kind.ts';
import { type DeepReadonly, flag, message, struct, text, textMap, timestamp, uint32, uint64 } from '../proto-json.ts';

/** Counts are decimal strings: 64-bit numbers in proto3 JSON. */
const serviceStats = () =>
  message({ responsesSent: uint64(), responsesAcknowledged: uint64(), responsesRejected: uint64() });

const version = () =>
  message({
    kumaDp: message({
      version: text(),
      gitTag: text(),
      gitCommit: text(),
      buildDate: text(),
      kumaCpCompatible: flag(),
    }),
    envoy: message({ version: text(), build: text(), kumaDpCompatible: flag() }),
    dependencies: textMap(),
  });

const subscription = () =>
  message({
    id: text(),
    controlPlaneInstanceId: text(),
    connectTime: timestamp(),
    disconnectTime: timestamp(),
    status: message({
      lastUpdateTime: timestamp(),
      total: serviceStats(),
      cds: serviceStats(),
      eds: serviceStats(),
      lds: serviceStats(),
      rds: serviceStats(),
    }),
    version: version(),
    generation: uint32(),
  });

/** Ours, beside Kuma's fields: why something is not as it should be, and the leaf in detail. */
const ownFacts = () =>
  message({
    /** Everything sent was answered. */
    inSync: flag(),
    certificate: message({
      /** Lower-case hex. */
      serial: text(),
      /** RFC 4514. */
      issuer: text(),
      uriSans: z.array(text()),
      notBefore: timestamp(),
      renewAt: timestamp(),
      /** Where the private key was made, and is: `proxy` or `control-plane`. */
      keys: text(),
    }),
    /** What this Envoy has said yes to, and works with. */
    acknowledged: message({
      /** CAs it trusts: SHA-256 of each certificate, lower-case hex. */
      roots: z.array(text()),
      certificate: message({
        serial: text(),
        backend: text(),
        /** SHA-256 of the CA it chains to, lower-case hex. */
        root: text(),
        notAfter: timestamp(),
      }),
    }),
    /** The last attempt to issue a leaf failed; the former leaf stays in use. */
    issuanceFailure: message({ message: text(), at: timestamp(), attempts: uint32(), nextAttemptAt: timestamp() }),
    /** The last attempt to generate the configuration failed; the former one stays in use. */
    generationFailure: message({ message: text(), at: timestamp() }),
    /** Resources that this Envoy refuses at the moment. */
    rejections: z.array(message({ type: text(), names: z.array(text()), message: text(), at: timestamp() })),
  });

/** Kuma's `mesh.v1alpha1.DataplaneInsight`, and `weft`. */
const schema = message({
  subscriptions: z.array(subscription()),
  mTLS: message({
    certificateExpirationTime: timestamp(),
    lastCertificateRegeneration: timestamp(),
    certificateRegenerations: uint32(),
    issuedBackend: text(),
    supportedBackends: z.array(text()),
  }),
  metadata: struct(),
  weft: ownFacts(),
});

export type DataplaneInsightSpec = DeepReadonly<z.infer<typeof schema>>;
export type DiscoverySubscription = NonNullable<DataplaneInsightSpec['subscriptions']>[number];
export type DiscoveryServiceStats = NonNullable<NonNullable<DiscoverySubscription['status']>['total']>;
/** What a proxy says of its programs in the bootstrap request and the xDS node. */
export type ProxyVersion = NonNullable<DiscoverySubscription['version']>;

export const dataplaneInsightKind: Kind<DataplaneInsightSpec> = {
  type: 'DataplaneInsight',
  path: 'dataplane-insights',
  pathAliases: [],
  scope: 'Mesh',
  model: 'inline',
  shortName: '',
  singularDisplayName: 'Dataplane Insight',
  pluralDisplayName: 'Dataplane Insights',
  access: 'everyone',
  readOnly: true,
  internal: false,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: () => [],
};
