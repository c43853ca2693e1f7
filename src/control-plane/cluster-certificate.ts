import type { ResourceStore } from '../store/store.ts';
import type { ControlPlaneConfig } from './config.ts';
import { ensureControlPlaneCa } from './first-start.ts';
import { generalCertificate, type ServerCertificate, serviceNames, sharedCertificate } from './server-certificate.ts';

/**
 * The general certificate on Kubernetes: from the configured files, else one of this replica from the CA that all replicas share, good for the
 * Service by which sidecars reach them. A replica has no folder that outlives it, so its own CA would cut off every sidecar.
 */
export async function clusterCertificate(
  store: ResourceStore,
  config: ControlPlaneConfig,
  now: number,
): Promise<ServerCertificate> {
  const { general } = config;
  if (general.tlsCertFile !== '') return generalCertificate(general, now);
  const names = serviceNames(
    config.runtime.kubernetes.controlPlaneServiceName,
    config.store.kubernetes.systemNamespace,
  );
  return sharedCertificate(await ensureControlPlaneCa(store, now), names, general.workDir, now);
}
