/** cert-manager as a whole. Pure. */

import { versionOf } from './control-plane.ts';
import { compareCrds } from './crds.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';
import type { Crd, Deployment } from './kube-objects.ts';

export interface CertManagerFacts {
  /** False: no Mesh has a `certmanager` backend, and nothing is said. */
  readonly used: boolean;
  readonly crds: Fact<readonly Crd[]>;
  /** Deployments labelled `app.kubernetes.io/name=cert-manager`, in all namespaces. */
  readonly controllers: Fact<readonly Deployment[]>;
}

/** What its part of a mesh needs. */
export const CERT_MANAGER_CRDS = ['certificaterequests', 'issuers', 'clusterissuers'].map((plural) => ({
  name: `${plural}.cert-manager.io`,
  version: 'v1',
}));
/** Its Deployments. */
export const CONTROLLER_LABEL = 'app.kubernetes.io/name=cert-manager';

const OLDEST_MINOR = 12;
const INSTALL =
  'kubectl apply -f https://github.com/cert-manager/cert-manager/releases/latest/download/cert-manager.yaml';

/** Findings of the group `cert-manager`. */
export function checkCertManager({ used, crds, controllers }: CertManagerFacts): Finding[] {
  if (!used) return [skip('cert-manager-crds', 'no Mesh has a certmanager backend')];
  return [checkDefinitions(crds), ...checkControllers(controllers)];
}

function checkDefinitions(crds: Fact<readonly Crd[]>): Finding {
  const list = factValue(crds);
  if (list === undefined) return skip('cert-manager-crds', `the definitions: ${whyUnknown(crds)}`);
  const { missing, other, pending } = compareCrds(list, CERT_MANAGER_CRDS);
  if (missing.length > 0) {
    return finding('cert-manager-crds', 'fail', `cert-manager is not installed: ${nameSome(missing)} missing`, {
      hint: INSTALL,
    });
  }
  const unusable = [...new Set([...other, ...pending])];
  if (unusable.length > 0) {
    return finding('cert-manager-crds', 'fail', `not served as v1: ${nameSome(unusable)}`, { hint: INSTALL });
  }
  return ok('cert-manager-crds', 'its definitions are there');
}

function checkControllers(controllers: Fact<readonly Deployment[]>): Finding[] {
  const list = factValue(controllers);
  if (list === undefined) return [skip('cert-manager-ready', `its Deployment: ${whyUnknown(controllers)}`)];
  if (list.length === 0) {
    return [
      skip('cert-manager-ready', 'no Deployment is labelled app.kubernetes.io/name=cert-manager: it may run elsewhere'),
    ];
  }
  return list.flatMap((controller) => {
    const { name, namespace } = controller.metadata;
    const ready = controller.status?.readyReplicas ?? 0;
    const version = versionOf(controller);
    return [
      ready > 0
        ? ok('cert-manager-ready', `Deployment ${namespace}/${name} is ready`)
        : finding('cert-manager-ready', 'fail', `no Pod of Deployment ${namespace}/${name} is ready`, {
            hint: `kubectl -n ${namespace} describe pods -l app.kubernetes.io/name=cert-manager`,
          }),
      checkVersion(version),
    ];
  });
}

function checkVersion(version: string | undefined): Finding {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (version === undefined || major === undefined) return skip('cert-manager-version', 'its version is not known');
  if (Number(major) > 1 || Number(minor) >= OLDEST_MINOR) return ok('cert-manager-version', version);
  return finding('cert-manager-version', 'warn', `${version} is older than what is tested (1.${OLDEST_MINOR})`, {
    hint: INSTALL,
  });
}
