import type { IdentityService } from '../identity/identity.ts';
import type { MeshWatcher } from '../push/mesh-watcher.ts';
import type { PushSource } from '../push/xds-source.ts';
import type { InspectSource } from '../rest/inspect-source.ts';
import {
  createGenerationCache,
  generateSidecar,
  isAdminApiPlain,
  MASKED_ADMIN_TLS,
  type ProxyMetadata,
} from '../xds/generate.ts';
import { askEnvoyAdmin, type EnvoyAdminCredentials } from './envoy-admin.ts';

/** What a proxy that never connected is taken to be. */
const UNKNOWN_PROXY: ProxyMetadata = {
  adminPort: 0,
  adminAddress: '',
  readinessPort: 0,
  features: [],
  workdir: '',
  ipv6Enabled: false,
};

/**
 * Inspection of proxies for the API. Configurations are generated with a cache of their own whose secrets are words (`CA`, `CERT`, `KEY`),
 * so that no key can be printed.
 */
export function createInspectSource(options: {
  watcher: MeshWatcher;
  push: PushSource;
  identity: Pick<IdentityService, 'backends' | 'bundle' | 'distrust'>;
  zone: string;
  adminCredentials: EnvoyAdminCredentials;
}): InspectSource {
  const masked = createGenerationCache({ adminTls: MASKED_ADMIN_TLS, zone: options.zone });
  return {
    backends: (mesh) => options.identity.backends(mesh),
    bundlePem: (mesh) => options.identity.bundle(mesh)?.pem,
    async config(mesh, name, { shadow }) {
      const snapshot = options.watcher.snapshot(mesh);
      const dataplane = snapshot?.dataplanes.get(name);
      if (snapshot === undefined || dataplane === undefined) return undefined;
      const metadata = options.push.session({ mesh, name })?.metadata ?? {
        ...UNKNOWN_PROXY,
        adminPort: dataplane.spec.networking?.admin?.port ?? 0,
      };
      const distrust = options.identity.distrust(mesh);
      return generateSidecar({ dataplane, metadata }, snapshot, masked, { shadow, distrust }).resources;
    },

    async admin(mesh, name, path) {
      const dataplane = options.watcher.snapshot(mesh)?.dataplanes.get(name);
      const session = options.push.session({ mesh, name });
      const what = `inspect dataplane ${name} of mesh ${mesh}`;
      if (dataplane === undefined) throw new Error(`${what}: no such dataplane`);
      if (session === undefined) throw new Error(`${what}: it is not connected to this control plane; start its proxy`);
      const address = dataplane.spec.networking?.address;
      const port = session.metadata.adminPort;
      if (address === undefined || port === 0)
        throw new Error(`${what}: its Envoy has no admin API; set networking.admin.port`);
      const plain = isAdminApiPlain(session.metadata, address);
      return askEnvoyAdmin({ proxy: { mesh, name }, address, port, plain }, options.adminCredentials, path);
    },
  };
}
