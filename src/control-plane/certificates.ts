import { certificateView } from '../identity/certificate-view.ts';
import { desiredIdentity } from '../identity/desired.ts';
import { leafHistory } from '../identity/history.ts';
import type { IdentityService } from '../identity/identity.ts';
import { renewalWindowMs } from '../identity/renewals.ts';
import { enabledMtlsBackend, leafLifetimeMs } from '../resources/kinds/mesh.ts';
import type { CertificateSource } from '../rest/certificate-source.ts';
import type { ResourceStore } from '../store/store.ts';
import { storeRenewalRequest } from './renewal-requests.ts';

/** Certificates for the API, out of issuance and the store. */
export function createCertificateSource(options: {
  store: ResourceStore;
  identity: Pick<IdentityService, 'state'>;
  now: () => number;
}): CertificateSource {
  const { store, identity, now } = options;
  return {
    view(mesh, dataplane, insight) {
      const proxy = { mesh: mesh.meta.name, name: dataplane.meta.name };
      const desired = desiredIdentity(mesh, dataplane);
      return certificateView({ proxy, desired, own: identity.state(proxy), insight }, now());
    },
    chainPem: (proxy) => identity.state(proxy).leaf?.chainPem,
    history: (proxy) => leafHistory(identity.state(proxy).leaf),
    renewalWindowMs: ({ spec }) => renewalWindowMs(leafLifetimeMs(enabledMtlsBackend(spec))),
    renew: (request) => storeRenewalRequest(store, request),
  };
}
