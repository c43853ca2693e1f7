import { type DataplaneSpec, tagValuesOf } from '../resources/kinds/dataplane.ts';
import { leafLifetimeMs, type MeshSpec } from '../resources/kinds/mesh.ts';
import { SERVICE_TAG } from '../resources/kinds/tags.ts';
import type { Resource } from '../resources/resource.ts';
import type { DesiredIdentity } from './identity.ts';

/**
 * The leaf a proxy must have under this Mesh; `undefined` when mTLS is off, or when no tag gives the proxy an identity.
 * SANs are those of kuma-compat 2.1: `spiffe://<mesh>/<service>` per service, then `kuma://<tag>/<value>`, both sorted. Pure.
 */
export function desiredIdentity(
  mesh: Resource<MeshSpec> | undefined,
  dataplane: Resource<DataplaneSpec>,
  keyType: DesiredIdentity['keyType'] = 'ec-p256',
): DesiredIdentity | undefined {
  const mtls = mesh?.spec.mtls;
  const backend = mtls?.backends?.find((one) => one.name === mtls.enabledBackend);
  if (mesh === undefined || backend === undefined) return undefined;
  const uriSans = buildUriSans(mesh.meta.name, dataplane.spec);
  if (uriSans.length === 0) return undefined;
  const { requestTimeout } = backend.dpCert ?? {};
  const requestTimeoutMs = requestTimeout === undefined ? undefined : parseSeconds(requestTimeout);
  return {
    backend: backend.name,
    uriSans,
    lifetimeMs: leafLifetimeMs(backend),
    keyType,
    ...(requestTimeoutMs ? { requestTimeoutMs } : {}),
  };
}

/** Empty when there is no `kuma.io/service` at all. */
function buildUriSans(mesh: string, spec: DataplaneSpec): readonly string[] {
  const values = tagValuesOf(spec);
  const services = [...(values.get(SERVICE_TAG) ?? [])].sort();
  if (services.length === 0) return [];
  const tags = [...values].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    ...services.map((service) => `spiffe://${mesh}/${service}`),
    ...tags.flatMap(([tag, ofTag]) => [...ofTag].sort().map((value) => `kuma://${tag}/${value}`)),
  ];
}

/** proto3 JSON duration, `10s` or `0.5s`, in milliseconds. */
function parseSeconds(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)s$/.exec(text);
  return match ? Number(match[1]) * 1000 : undefined;
}
