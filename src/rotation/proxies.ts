import { type DataplaneSpec, tagValuesOf } from '../resources/kinds/dataplane.ts';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import { SERVICE_TAG } from '../resources/kinds/tags.ts';
import type { Resource } from '../resources/resource.ts';
import type { PresentedLeaf, RotatingProxy } from './rotation.ts';

/** The proxies of a mesh that take part in mTLS, out of their Dataplanes and what is known of them. Without a service a proxy has no identity. Pure. */
export function rotatingProxies(
  dataplanes: Iterable<Resource<DataplaneSpec>>,
  insights: ReadonlyMap<string, DataplaneInsightSpec>,
): readonly RotatingProxy[] {
  const proxies: RotatingProxy[] = [];
  for (const { meta, spec } of dataplanes) {
    const services = [...(tagValuesOf(spec).get(SERVICE_TAG) ?? [])].sort();
    if (services.length === 0) continue;
    const insight = insights.get(meta.name);
    const unheard = insight === undefined ? { unheardSince: Date.parse(meta.creationTime) } : {};
    proxies.push({ name: meta.name, services, ...stateOf(insight), ...unheard });
  }
  return proxies.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether a control plane has a stream of the proxy now. */
export function isConnected(insight: DataplaneInsightSpec | undefined): boolean {
  return insight?.subscriptions?.some(({ connectTime, disconnectTime }) => connectTime && !disconnectTime) ?? false;
}

function stateOf(insight: DataplaneInsightSpec | undefined): Omit<RotatingProxy, 'name' | 'services'> {
  const { weft } = insight ?? {};
  const rejection = weft?.rejections?.find(({ type }) => type?.endsWith('.Secret'));
  return {
    connected: isConnected(insight),
    trusts: new Set(weft?.acknowledged?.roots),
    leaf: leafOf(insight),
    problem: weft?.issuanceFailure?.message ?? (rejection && `it refuses its certificates: ${rejection.message}`),
  };
}

/** What it acknowledged; of a proxy that is away and of which that is not known, what it was given. */
function leafOf(insight: DataplaneInsightSpec | undefined): PresentedLeaf | undefined {
  const leaf = insight?.weft?.acknowledged?.certificate;
  if (leaf?.backend !== undefined) {
    return { backend: leaf.backend, root: leaf.root ?? '', notAfter: Date.parse(leaf.notAfter ?? '') };
  }
  const { issuedBackend, certificateExpirationTime } = insight?.mTLS ?? {};
  if (isConnected(insight) || issuedBackend === undefined || certificateExpirationTime === undefined) return undefined;
  return { backend: issuedBackend, root: '', notAfter: Date.parse(certificateExpirationTime) };
}
