import type { Namespace } from '../api/core-kinds.ts';
import type { InjectionResult } from '../inject/inject.ts';
import type { AdmittedPod } from '../inject/pod.ts';
import type { AdmissionRequest } from './admission-review.ts';
import { diffJson } from './json-patch.ts';
import { ALLOWED, forbidden, invalid, type Verdict, type Webhook } from './verdict.ts';

/** Decides and patches, as `k8s/inject` does; throws when it can't know now (a neighbour does not answer). */
export type InjectPod = (pod: AdmittedPod, namespace: Namespace) => InjectionResult | Promise<InjectionResult>;

/** `undefined`: the namespace is not there (any more). */
export type NamespaceLookup = (name: string) => Promise<Namespace | undefined>;

/** `/inject-sidecar`: new Pods of namespaces that asked for it. */
export function createInjectWebhook(options: {
  readonly inject: InjectPod;
  readonly namespace: NamespaceLookup;
}): Webhook {
  return {
    path: '/inject-sidecar',
    name: 'inject-sidecar',
    async handle(request) {
      const pod = podOf(request);
      if (pod === undefined) return ALLOWED;
      const namespace = await options.namespace(request.namespace);
      if (namespace === undefined) return forbidden(`namespace ${request.namespace} is not found`);
      return verdictOf(request, pod, await options.inject(pod, namespace));
    },
  };
}

function podOf(request: AdmissionRequest): AdmittedPod | undefined {
  const { kind, operation, subResource, object } = request;
  const isNewPod = kind.group === '' && kind.kind === 'Pod' && operation === 'CREATE' && subResource === '';
  return isNewPod ? (object as AdmittedPod | undefined) : undefined;
}

function verdictOf(request: AdmissionRequest, pod: AdmittedPod, result: InjectionResult): Verdict {
  switch (result.kind) {
    case 'skipped':
      return ALLOWED;
    case 'refused':
      return invalid(request, result.violations);
    case 'injected':
      return { allowed: true, patch: diffJson(pod, result.pod), warnings: result.warnings };
    default:
      return result satisfies never;
  }
}
