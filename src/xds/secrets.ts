import { encodeResource, RESOURCE_TYPE } from '../envoy/encode.ts';
import { identitySecretName, trustBundleSecretName } from '../envoy/names.ts';
import { tlsCertificateSecret, validationSecret } from '../envoy/tls.ts';
import type { HeldLeaf, TrustBundle } from '../identity/identity.ts';
import type { EncodedResource } from '../xds-server/xds.ts';

/** A leaf whose key is here, to be sent with it. */
export type LeafWithKey = Pick<HeldLeaf, 'chainPem'> & { readonly keyPem: string };

/** SDS secret `identity_cert:secret:<mesh>`: chain and key of one proxy. Never logged, never shown. */
export function identitySecret(mesh: string, leaf: LeafWithKey): EncodedResource {
  const name = identitySecretName(mesh);
  return encodeResource(RESOURCE_TYPE.secret, name, tlsCertificateSecret(name, leaf.chainPem, leaf.keyPem));
}

/** SDS secret `mesh_ca:secret:<mesh>`: what every proxy of the mesh trusts. */
export function trustBundleSecret(bundle: TrustBundle): EncodedResource {
  const name = trustBundleSecretName(bundle.mesh);
  return encodeResource(RESOURCE_TYPE.secret, name, validationSecret(name, bundle.pem, bundle.crlPem));
}
