/** The control plane's Deployment. Pure. */
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, ok, skip } from './finding.ts';
import type { Deployment } from './kube-objects.ts';

export const CONTROL_PLANE = 'weft-control-plane';

export interface ControlPlaneFacts {
  readonly namespace: string;
  readonly deployment: Fact<Deployment>;
  /** Of this program. */
  readonly version: string;
}

/** Findings of the group `control-plane`. */
export function checkControlPlane({ namespace, deployment, version }: ControlPlaneFacts): Finding[] {
  const found = factValue(deployment);
  if (found !== undefined) return [checkReady(found, namespace), checkVersion(found, version)];
  if (deployment.state !== 'absent') return [skip('control-plane-ready', `its Deployment: ${whyUnknown(deployment)}`)];
  return [
    finding('control-plane-ready', 'fail', `there is no Deployment ${CONTROL_PLANE} in namespace ${namespace}`, {
      hint: 'weft install control-plane | kubectl apply --server-side -f -   # installed elsewhere? give --namespace',
    }),
  ];
}

function checkReady({ spec, status }: Deployment, namespace: string): Finding {
  const wanted = spec.replicas ?? 1;
  const ready = status?.readyReplicas ?? 0;
  if (wanted === 0) {
    return finding('control-plane-ready', 'fail', 'its Deployment is scaled to 0', {
      hint: `kubectl -n ${namespace} scale deployment ${CONTROL_PLANE} --replicas=1`,
    });
  }
  const hint = `kubectl -n ${namespace} describe pods -l app=${CONTROL_PLANE}; kubectl -n ${namespace} logs deployment/${CONTROL_PLANE}`;
  if (ready === 0) return finding('control-plane-ready', 'fail', `none of ${wanted} Pods is ready`, { hint });
  if (ready < wanted) return finding('control-plane-ready', 'warn', `${ready} of ${wanted} Pods are ready`, { hint });
  if ((status?.updatedReplicas ?? 0) < wanted) {
    return finding('control-plane-ready', 'warn', 'a rollout is under way: some Pods run the former version', {
      hint: `kubectl -n ${namespace} rollout status deployment ${CONTROL_PLANE}`,
    });
  }
  return ok('control-plane-ready', `${ready} of ${wanted} Pods are ready`);
}

function checkVersion(deployment: Deployment, version: string): Finding {
  const running = versionOf(deployment);
  if (running === undefined) return skip('control-plane-version', 'its image has no version');
  if (running === version) return ok('control-plane-version', `${running}, as this program`);
  return finding('control-plane-version', 'warn', `the control plane is ${running}, this program ${version}`, {
    hint: `weft install control-plane | kubectl apply --server-side -f -   # or use weft ${running}`,
  });
}

/** Version of a Deployment: its label `app.kubernetes.io/version`, else the tag of its first image. */
export function versionOf({ metadata, spec }: Deployment): string | undefined {
  const label = metadata.labels?.['app.kubernetes.io/version'];
  if (label !== undefined && label !== '') return label.replace(/^v(?=\d)/, '');
  const image = spec.template.spec.containers[0]?.image ?? '';
  return /:v?([^:/@]+)(?:@|$)/.exec(image.slice(image.lastIndexOf('/') + 1))?.[1];
}
