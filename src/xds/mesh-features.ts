import type { IdentitySource } from '../envoy/tls.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import { enabledMtlsBackend, leafLifetimeMs, type MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { GenerationMemos } from './cache.ts';
import { GenerateError } from './error.ts';

/** What of a Mesh reaches its proxies' configuration. Two Meshes with the same `key` give the same configuration. */
export interface MeshFeatures {
  readonly name: string;
  readonly mtls: 'off' | 'STRICT' | 'PERMISSIVE';
  /** Life of a leaf, in ms; 0 without mTLS. */
  readonly leafLifetimeMs: number;
  readonly passthrough: boolean;
  /** Outbounds by `kuma.io/service` count. */
  readonly serviceTagOutbounds: boolean;
  readonly localityAware: boolean;
  /** Where the proxy gets its certificate from; the same for all other things of the mesh. */
  readonly identityFrom: IdentitySource;
  readonly distrust: Distrust;
  /** What mesh TLS itself depends on, as text to compare. */
  readonly tlsKey: string;
  readonly key: string;
}

/** What a mesh trusts no more, as far as it is configuration and not in the trust bundle. */
export interface Distrust {
  /** Connections from before an epoch are drained when it comes. 0: nothing ever was distrusted. */
  readonly epoch: number;
  /** Services whose clients are refused, sorted. */
  readonly denied: readonly string[];
}

const NO_DISTRUST: Distrust = { epoch: 0, denied: [] };

/** Throws `GenerateError` for a mesh that is not there: what its proxies have is never opened up by a deletion. */
export function meshFeatures(
  snapshot: MeshSnapshot,
  memos: GenerationMemos,
  identityFrom: IdentitySource,
  distrust: Distrust = NO_DISTRUST,
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
  const known = features[identityFrom];
  if (distrust.epoch === 0 && distrust.denied.length === 0) return known;
  const mark = `|${distrust.epoch}|${distrust.denied.join(' ')}`;
  return { ...known, distrust, tlsKey: known.tlsKey + mark, key: known.key + mark };
}

function readFeatures({ meta, spec }: Resource<MeshSpec>, identityFrom: IdentitySource): MeshFeatures {
  const mtls = mtlsOf(spec);
  const features = {
    name: meta.name,
    mtls,
    leafLifetimeMs: mtls === 'off' ? 0 : leafLifetimeMs(enabledMtlsBackend(spec)),
    passthrough: spec.networking?.outbound?.passthrough ?? true,
    serviceTagOutbounds: spec.meshServices?.mode !== 'Exclusive',
    localityAware: spec.routing?.localityAwareLoadBalancing === true,
    identityFrom,
  };
  const { name, leafLifetimeMs: life } = features;
  const tlsKey = `${name}|${mtls}|${life}|${identityFrom}`;
  return { ...features, distrust: NO_DISTRUST, tlsKey, key: Object.values(features).join('|') };
}

/** A backend that is named but not there is refused by validation; should it be stored, mTLS is on and strict. */
function mtlsOf(spec: MeshSpec): MeshFeatures['mtls'] {
  if (!spec.mtls?.enabledBackend) return 'off';
  return enabledMtlsBackend(spec)?.mode ?? 'STRICT';
}
