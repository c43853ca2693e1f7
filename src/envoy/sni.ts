/** Server names by which zone ingress finds the destination of an mTLS connection. Source: Kuma 2.11 `pkg/xds/envoy/tls/sni.go`. */
import { fnv64a } from '../lib/hash.ts';
import { SERVICE_TAG } from './names.ts';

/** Longest server name Envoy takes. Source: `UpstreamTlsContext.sni`. */
export const MAX_SNI_BYTES = 255;

/** Of a destination given by tags: `backend{mesh=default,version=v1}`, tags in key order. */
export function sniOfTags(mesh: string, tags: Readonly<Record<string, string>>): string {
  const further = Object.entries({ ...tags, mesh })
    .filter(([key]) => key !== SERVICE_TAG)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `${tags[SERVICE_TAG] ?? ''}{${further.map(([key, value]) => `${key}=${value}`).join(',')}}`;
}

export type SniResourceKind = 'ms' | 'mzms' | 'mes';

/** Of a MeshService (`ms`), MeshMultiZoneService or MeshExternalService: `add27113f6ca4edc8.web.80.default.ms`. */
export function sniOfResource(name: string, mesh: string, port: number, kind: SniResourceKind): string {
  const hash = fnv64a(`${name};${mesh};`).toString(16).padStart(16, '0');
  return `a${hash}.${shortLabel(name)}.${port}.${shortLabel(mesh)}.${kind}`;
}

/** DNS labels end at 63 bytes. */
function shortLabel(label: string): string {
  return label.length > 62 ? `${label.slice(0, 62)}x` : label;
}
