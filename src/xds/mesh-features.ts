import type { IdentitySource } from '../envoy/tls.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import { enabledMtlsBackend, type MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { GenerationMemos } from './cache.ts';
import { GenerateError } from './error.ts';

/** What of a Mesh reaches its proxies' configuration. Two Meshes with the same `key` give the same configuration. */
export interface MeshFeatures {
  readonly name: string;
  readonly mtls: 'off' | 'STRICT' | 'PERMISSIVE';
  readonly passthrough: boolean;
  /** Outbounds by `kuma.io/service` count. */
  readonly serviceTagOutbounds: boolean;
  readonly localityAware: boolean;
  /** Where the proxy gets its certificate from; the same for all other things of the mesh. */
  readonly identityFrom: IdentitySource;
  readonly key: string;
}

/** Throws `GenerateError` for a mesh that is not there: what its proxies have is never opened up by a deletion. */
export function meshFeatures(
  snapshot: MeshSnapshot,
  memos: GenerationMemos,
  identityFrom: IdentitySource,
): MeshFeatures {
  const { mesh } = snapshot;
  if (mesh === undefined) {
    throw new GenerateError(
      'mesh',
      `mesh "${snapshot.name}" does not exist; its proxies keep the configuration they have`,
    );
  }
  let features = memos.features.get(mesh);
  if (features === undefined) {
    features = { ads: readFeatures(mesh, 'ads'), launcher: readFeatures(mesh, 'launcher') };
    memos.features.set(mesh, features);
  }
  return features[identityFrom];
}

function readFeatures({ meta, spec }: Resource<MeshSpec>, identityFrom: IdentitySource): MeshFeatures {
  const features = {
    name: meta.name,
    mtls: mtlsOf(spec),
    passthrough: spec.networking?.outbound?.passthrough ?? true,
    serviceTagOutbounds: spec.meshServices?.mode !== 'Exclusive',
    localityAware: spec.routing?.localityAwareLoadBalancing === true,
    identityFrom,
  };
  return { ...features, key: Object.values(features).join('|') };
}

/** A backend that is named but not there is refused by validation; should it be stored, mTLS is on and strict. */
function mtlsOf(spec: MeshSpec): MeshFeatures['mtls'] {
  if (!spec.mtls?.enabledBackend) return 'off';
  return enabledMtlsBackend(spec)?.mode ?? 'STRICT';
}
