/** TLS contexts and secrets of mesh mTLS. Source: compatibility reference 2.2; Kuma 2.11 `pkg/xds/envoy/tls/v3`. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '@weft/protos/envoy/config/core/v3/base_pb.js';
import {
  ApiConfigSource_ApiType,
  ApiVersion,
  type ConfigSourceSchema,
} from '@weft/protos/envoy/config/core/v3/config_source_pb.js';
import {
  SubjectAltNameMatcher_SanType as SanType,
  type SubjectAltNameMatcherSchema,
} from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  type SdsSecretConfigSchema,
  SecretSchema,
} from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '@weft/protos/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { seconds } from './duration.ts';
import { encode, packAny } from './encode.ts';
import { identitySecretName, LAUNCHER_KEYS_CLUSTER, trustBundleSecretName } from './names.ts';

export type TransportSocketInit = MessageInitShape<typeof TransportSocketSchema>;
type SanMatcher = MessageInitShape<typeof SubjectAltNameMatcherSchema>;

/** Where a proxy gets its own certificate and key from: the control plane, over ADS, or its launcher, which made the key (docs/decisions/0024). */
export type IdentitySource = 'ads' | 'launcher';

/** A mesh, as one of its proxies sees it. */
export interface MeshIdentity {
  readonly name: string;
  readonly identityFrom: IdentitySource;
}

/** Says "this is mesh mTLS", so that an inbound can tell it from the application's own TLS. */
export const MESH_ALPN = 'kuma';
/** DNS name in the certificate the control plane shows to a proxy's admin listener. */
export const ADMIN_CLIENT_SAN = 'kuma-cp';

/** Server side of an inbound: a client certificate of this mesh is required. */
export function meshServerTls(mesh: MeshIdentity): TransportSocketInit {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(DownstreamTlsContextSchema, {
        commonTlsContext: meshTlsContext(mesh, [uriPrefix(`spiffe://${mesh.name}/`)]),
        requireClientCertificate: true,
      }),
    },
  };
}

/** Client side towards a destination: its certificate must be one of these `services`; none: of any service of the mesh. */
export function meshClientTls(mesh: MeshIdentity, services: readonly string[], sni: string): TransportSocketInit {
  const matchers =
    services.length === 0
      ? [uriPrefix(`spiffe://${mesh.name}/`)]
      : services.map((service) => uriExact(`spiffe://${mesh.name}/${service}`));
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(UpstreamTlsContextSchema, {
        commonTlsContext: { ...meshTlsContext(mesh, matchers), alpnProtocols: [MESH_ALPN] },
        sni,
      }),
    },
  };
}

/** Server side of the admin listener: only the control plane gets in. All PEM. */
export function adminServerTls(tls: { caPem: string; certPem: string; keyPem: string }): TransportSocketInit {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packAny(DownstreamTlsContextSchema, {
        requireClientCertificate: true,
        commonTlsContext: {
          tlsCertificates: [{ certificateChain: inlinePem(tls.certPem), privateKey: inlinePem(tls.keyPem) }],
          validationContextType: {
            case: 'validationContext',
            value: {
              trustedCa: inlinePem(tls.caPem),
              matchTypedSubjectAltNames: [{ sanType: SanType.DNS, matcher: exact(ADMIN_CLIENT_SAN) }],
            },
          },
        },
      }),
    },
  };
}

/** Encoded SDS secret with a leaf. Chain and key are PEM, leaf first. */
export function tlsCertificateSecret(name: string, chainPem: string, keyPem: string): Uint8Array {
  return encode(SecretSchema, {
    name,
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: inlinePem(chainPem), privateKey: inlinePem(keyPem) },
    },
  });
}

/**
 * Encoded SDS secret with what to trust, PEM. With `crlPem` a leaf is refused that its CRL lists, or whose CA has none in it; CRLs of the CAs above are not asked
 * for. Source: Envoy `CertificateValidationContext.crl`, `only_verify_leaf_cert_crl`.
 */
export function validationSecret(name: string, caPem: string, crlPem?: string): Uint8Array {
  const crl = crlPem === undefined ? {} : { crl: inlinePem(crlPem), onlyVerifyLeafCertCrl: true };
  return encode(SecretSchema, {
    name,
    type: { case: 'validationContext', value: { trustedCa: inlinePem(caPem), ...crl } },
  });
}

function meshTlsContext(
  mesh: MeshIdentity,
  matchTypedSubjectAltNames: readonly SanMatcher[],
): MessageInitShape<typeof CommonTlsContextSchema> {
  return {
    tlsCertificateSdsSecretConfigs: [sds(identitySecretName(mesh.name), SECRET_SOURCES[mesh.identityFrom])],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames: [...matchTypedSubjectAltNames] },
        validationContextSdsSecretConfig: sds(trustBundleSecretName(mesh.name), SECRET_SOURCES.ads),
      },
    },
  };
}

/**
 * Waits for the secret as long as it takes. With Envoy's own 15 s a proxy without a certificate would say that it is ready, take connections and drop
 * each of them, and take the place of listeners that still work. Source: Envoy `core.v3.ConfigSource.initial_fetch_timeout`.
 */
function sds(name: string, configSourceSpecifier: SecretSource): MessageInitShape<typeof SdsSecretConfigSchema> {
  return {
    name,
    sdsConfig: { resourceApiVersion: ApiVersion.V3, configSourceSpecifier, initialFetchTimeout: seconds(0) },
  };
}

type SecretSource = NonNullable<MessageInitShape<typeof ConfigSourceSchema>['configSourceSpecifier']>;

/** The launcher answers a request when it has something new, so Envoy waits for the answer and asks again at once. */
const LAUNCHER_WAIT_S = 24 * 3600;

const SECRET_SOURCES: Readonly<Record<IdentitySource, SecretSource>> = {
  ads: { case: 'ads', value: {} },
  launcher: {
    case: 'apiConfigSource',
    value: {
      apiType: ApiConfigSource_ApiType.REST,
      transportApiVersion: ApiVersion.V3,
      clusterNames: [LAUNCHER_KEYS_CLUSTER],
      refreshDelay: { nanos: 100_000_000 },
      requestTimeout: seconds(LAUNCHER_WAIT_S),
    },
  },
};

function uriExact(value: string): SanMatcher {
  return { sanType: SanType.URI, matcher: exact(value) };
}

function uriPrefix(value: string): SanMatcher {
  return { sanType: SanType.URI, matcher: { matchPattern: { case: 'prefix', value } } };
}

function exact(value: string): SanMatcher['matcher'] {
  return { matchPattern: { case: 'exact', value } };
}

function inlinePem(pem: string): { specifier: { case: 'inlineBytes'; value: Uint8Array } } {
  return { specifier: { case: 'inlineBytes', value: Buffer.from(pem, 'utf8') } };
}
