import type { KubeClient } from '../k8s/api/client.ts';
import { systemUsers } from '../k8s/webhooks/context.ts';
import { createMeshLookup } from '../k8s/webhooks/mesh-lookup.ts';
import { createNamespaceLookup } from '../k8s/webhooks/namespace-lookup.ts';
import { startWebhooks, type Webhooks } from '../k8s/webhooks/start-webhooks.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import type { ControlPlaneConfig } from './config.ts';
import type { MeshLifecycle } from './mesh-lifecycle.ts';
import { createPodInjector } from './pod-injector.ts';
import { minVersionOf } from './server-certificate.ts';

/** The admission webhooks of this control plane, served when it resolves. Rejects when the certificate, the port or a configured file can't be had. */
export async function openWebhooks(options: {
  readonly config: ControlPlaneConfig;
  readonly client: KubeClient;
  readonly registry: Registry;
  readonly labelContext: LabelContext;
  readonly meshLifecycle: MeshLifecycle;
  /** CA of the data plane port, PEM. */
  readonly caPem: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}): Promise<Webhooks> {
  const { config, client, registry, meshLifecycle, clock, log, metrics } = options;
  const { systemNamespace } = config.store.kubernetes;
  const { admissionServer, allowedUsers, controlPlaneServiceName, serviceAccountName } = config.runtime.kubernetes;
  const labels = { ...options.labelContext, systemNamespace };
  const controlPlaneUser = serviceAccountName || `system:serviceaccount:${systemNamespace}:weft-control-plane`;
  const webhooks = await startWebhooks({
    client,
    context: {
      registry,
      labels,
      systemUsers: systemUsers({ controlPlaneUser, allowedUsers }),
      meshes: createMeshLookup(client, labels),
      meshChecks: meshLifecycle,
      secretChecks: { validateDelete: (secret) => meshLifecycle.validateSecretDelete(secret) },
    },
    inject: await createPodInjector({ config, caPem: options.caPem, client, log }),
    namespace: createNamespaceLookup(client),
    host: admissionServer.address,
    port: admissionServer.port,
    certDir: admissionServer.certDir,
    minVersion: minVersionOf(config.general),
    service: controlPlaneServiceName,
    clock,
    random: Math.random,
    log,
    metrics,
  });
  log.info('admission webhooks are served', { port: webhooks.address.port });
  return webhooks;
}
