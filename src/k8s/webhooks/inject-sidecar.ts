import type { Namespace, Pod } from '../api/core-kinds.ts';
import type { AdmissionRequest } from './admission-review.ts';
import { diffJson } from './json-patch.ts';
import { ALLOWED, forbidden, invalid, type Verdict, type Webhook } from './verdict.ts';

/** What became of a Pod: as it was, with a sidecar, or not to be started as it is. */
export type Injection =
  | { readonly outcome: 'unchanged' }
  | { readonly outcome: 'injected'; readonly pod: Pod; readonly warnings?: readonly string[] }
  /** `field` is a path in the Pod: `metadata.annotations["kuma.io/..."]`. */
  | { readonly outcome: 'refused'; readonly field: string; readonly message: string };

/** Decides and patches; throws when it can't know now (a neighbour does not answer). */
export type InjectPod = (pod: Pod, namespace: Namespace) => Injection | Promise<Injection>;

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

function podOf(request: AdmissionRequest): Pod | undefined {
  const { kind, operation, subResource, object } = request;
  const isNewPod = kind.group === '' && kind.kind === 'Pod' && operation === 'CREATE' && subResource === '';
  return isNewPod ? (object as unknown as Pod | undefined) : undefined;
}

function verdictOf(request: AdmissionRequest, pod: Pod, injection: Injection): Verdict {
  switch (injection.outcome) {
    case 'unchanged':
      return ALLOWED;
    case 'refused':
      return invalid(request, [{ field: injection.field, message: injection.message }]);
    case 'injected':
      return { allowed: true, patch: diffJson(pod, injection.pod), warnings: injection.warnings ?? [] };
    default:
      return injection satisfies never;
  }
}
