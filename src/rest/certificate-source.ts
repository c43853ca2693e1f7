import type { CertificateView } from '../identity/certificate-view.ts';
import type { IssuedLeaf } from '../identity/history.ts';
import type { ProxyKey, RenewalRequest } from '../identity/identity.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';

/** What the certificate routes need to know of leaves; `identity/` has it. */
export interface CertificateSource {
  /** The certificate of one Dataplane, whichever control plane it is connected to. Cheap. */
  view(
    mesh: Resource<MeshSpec>,
    dataplane: Resource<DataplaneSpec>,
    insight: DataplaneInsightSpec | undefined,
  ): CertificateView;
  /** Without the key. `undefined`: none is at hand here. */
  chainPem(proxy: ProxyKey): string | undefined;
  /** Newest first, the one in use included. */
  history(proxy: ProxyKey): readonly IssuedLeaf[];
  /** How long leaves of the mesh take to be replaced when all are asked for, in ms: they are spread. */
  renewalWindowMs(mesh: Resource<MeshSpec>): number;
  /** Hands a request to every control plane of the store. */
  renew(request: RenewalRequest): Promise<void>;
}
