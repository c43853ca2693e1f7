import type { ApiServerFacts } from './api-server.ts';
import { checkApiServer } from './api-server.ts';
import { type BackendFacts, checkBackends } from './cas.ts';
import { type CertManagerFacts, checkCertManager } from './cert-manager.ts';
import { type ControlPlaneFacts, checkControlPlane } from './control-plane.ts';
import { checkCrds, type ExpectedCrd } from './crds.ts';
import type { Fact } from './fact.ts';
import type { Finding } from './finding.ts';
import { checkIssuer, type IssuerFacts } from './issuers.ts';
import type { Crd } from './kube-objects.ts';
import { checkProxies, type ProxyFacts } from './proxies.ts';
import { checkRights, type RightFacts } from './rights.ts';
import { checkWebhooks, type WebhookFacts } from './webhooks.ts';

/** All that was gathered of a cluster. */
export interface KubernetesFacts {
  readonly apiServer: ApiServerFacts;
  /** Epoch ms by the API server's clock, by this machine's when that could not be read. */
  readonly now: number;
  /** `undefined`: the API server does not answer, so nothing else was asked. */
  readonly cluster: ClusterFacts | undefined;
}

export interface ClusterFacts {
  readonly rights: RightFacts;
  readonly crds: Fact<readonly Crd[]>;
  readonly expectedCrds: readonly ExpectedCrd[];
  readonly webhooks: WebhookFacts;
  readonly controlPlane: ControlPlaneFacts;
  readonly certManager: CertManagerFacts;
  readonly issuers: readonly IssuerFacts[];
  readonly proxies: ProxyFacts;
  readonly backends: readonly BackendFacts[];
}

/** Every finding about a cluster. Pure. */
export function checkKubernetes({ apiServer, cluster }: KubernetesFacts): Finding[] {
  if (cluster === undefined) return checkApiServer(apiServer);
  return [
    ...checkApiServer(apiServer),
    ...checkRights(cluster.rights),
    ...checkCrds(cluster.crds, cluster.expectedCrds),
    ...checkWebhooks(cluster.webhooks),
    ...checkControlPlane(cluster.controlPlane),
    ...checkCertManager(cluster.certManager),
    ...cluster.issuers.flatMap(checkIssuer),
    ...checkProxies(cluster.proxies),
    ...cluster.backends.flatMap(checkBackends),
  ];
}
