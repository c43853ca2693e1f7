import { KUMA_GROUP, KUMA_VERSION, kindResourceType } from '../k8s/api/kind-type.ts';
import type { KubeObject } from '../k8s/api/object.ts';
import type { Kind } from '../resources/kind.ts';

export const MUTATING_CONFIGURATION = 'weft-admission-mutating';
export const VALIDATING_CONFIGURATION = 'weft-admission-validating';

/** Where the API server finds the admission server: a Service in `namespace`, or (outside the cluster) a base URL such as `https://127.0.0.1:5443`. */
export type WebhookTarget = { readonly service: string; readonly port?: number } | { readonly url: string };

export interface WebhookConfigurationOptions {
  /** The system namespace. */
  readonly namespace: string;
  readonly target: WebhookTarget;
  /** Every kind of the program. */
  readonly kinds: readonly Kind[];
  /** ServiceAccount of the control plane in `namespace`. */
  readonly serviceAccount?: string;
  /** PEM. Absent: the control plane fills it in when it starts, and keeps it right. */
  readonly caBundle?: string;
  /** What happens to Pods of injected namespaces while no control plane answers. Our own kinds are always `Fail`. */
  readonly injectorFailurePolicy?: 'Fail' | 'Ignore';
  /** Only these namespaces (and the system namespace) are looked at. Empty or absent: all. */
  readonly namespaceAllowList?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

interface Expression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: readonly string[];
}

interface Webhook {
  readonly name: string;
  readonly clientConfig: unknown;
  readonly rules: readonly unknown[];
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly namespaceSelector?: { readonly matchExpressions: readonly Expression[] };
  readonly objectSelector?: { readonly matchExpressions: readonly Expression[] };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks: readonly Webhook[];
}

const INJECTION = 'kuma.io/sidecar-injection';
const ON = ['enabled', 'true'];
const OFF = ['disabled', 'false'];
const NAMESPACE_NAME = 'kubernetes.io/metadata.name';
/** Kinds whose owner is a Pod, a Service or a proxy: a second owner would keep them when the first is gone. */
const OWNED_OTHERWISE = new Set(['Dataplane', 'DataplaneInsight']);

/**
 * Both configurations, `weft-admission-mutating` and `weft-admission-validating`, as narrow as they can be, so that a control plane that is down
 * stands in nobody's way but of those who need it: Pods count only where injection is asked for, Secrets only when they are of our types, and
 * the control plane's own writes, which it has checked already, never come back to it (it could not start otherwise: it creates Mesh `default`).
 * Selectors follow Kuma 2.11's chart. API servers before 1.28 ignore `matchConditions`: more is asked then, the answers are the same.
 */
export function webhookConfigurations(options: WebhookConfigurationOptions): readonly WebhookConfiguration[] {
  const { namespace } = options;
  const kinds = options.kinds.filter((kind) => kindResourceType(kind).group === KUMA_GROUP && !kind.internal);
  const written = kinds.filter((kind) => !kind.readOnly);
  const owned = kinds.filter((kind) => kind.scope === 'Mesh' && !OWNED_OTHERWISE.has(kind.type));
  const client = (path: string) => ({ clientConfig: clientConfig(options, path) });
  const fail = { failurePolicy: 'Fail' } as const;
  const notOurself = {
    name: 'not-the-control-plane',
    expression: `request.userInfo.username != 'system:serviceaccount:${namespace}:${options.serviceAccount ?? 'weft-control-plane'}'`,
  };
  const injector = {
    ...client('/inject-sidecar'),
    failurePolicy: options.injectorFailurePolicy ?? 'Fail',
    rules: [rule('', 'v1', ['CREATE'], ['pods'])],
  };
  const elsewhere: readonly Expression[] = [
    { key: NAMESPACE_NAME, operator: 'NotIn', values: ['kube-system', namespace] },
    ...allowed(options.namespaceAllowList ?? []),
  ];

  const mutating: readonly Webhook[] = [
    {
      name: 'defaults.weft-admission.kuma.io',
      ...client('/default-kuma-io-v1alpha1-mesh'),
      ...fail,
      ...scope(options),
      rules: [kumaRule(['CREATE', 'UPDATE'], written)],
      matchConditions: [notOurself],
    },
    {
      name: 'owner-reference.weft-admission.kuma.io',
      ...client('/owner-reference-kuma-io-v1alpha1'),
      ...fail,
      ...scope(options),
      rules: [kumaRule(['CREATE'], owned)],
      matchConditions: [notOurself],
    },
    {
      name: 'namespace-injector.weft-admission.kuma.io',
      ...injector,
      namespaceSelector: { matchExpressions: [{ key: INJECTION, operator: 'In', values: ON }, ...elsewhere] },
      objectSelector: { matchExpressions: [{ key: INJECTION, operator: 'NotIn', values: OFF }] },
    },
    {
      name: 'pod-injector.weft-admission.kuma.io',
      ...injector,
      namespaceSelector: { matchExpressions: [{ key: INJECTION, operator: 'NotIn', values: ON }, ...elsewhere] },
      objectSelector: { matchExpressions: [{ key: INJECTION, operator: 'In', values: ON }] },
    },
  ];
  const validating: readonly Webhook[] = [
    {
      name: 'validator.weft-admission.kuma.io',
      ...client('/validate-kuma-io-v1alpha1'),
      ...fail,
      ...scope(options),
      rules: [
        kumaRule(['CREATE', 'UPDATE'], written),
        // Only a Mesh may have a reason to stay. Whatever else is deleted, garbage collection included, needs no control plane.
        kumaRule(
          ['DELETE'],
          written.filter((kind) => kind.type === 'Mesh'),
        ),
      ],
      matchConditions: [notOurself],
    },
    {
      name: 'secret.validator.weft-admission.kuma.io',
      ...client('/validate-v1-secret'),
      failurePolicy: 'Ignore',
      namespaceSelector: { matchExpressions: [{ key: NAMESPACE_NAME, operator: 'In', values: [namespace] }] },
      rules: [rule('', 'v1', ['CREATE', 'UPDATE', 'DELETE'], ['secrets'])],
      // Secrets of others in the same namespace, a CA of cert-manager above all, are never sent to us.
      matchConditions: [
        {
          name: 'secrets-of-the-mesh',
          expression:
            "(request.operation == 'DELETE' ? oldObject : object).type in ['system.kuma.io/secret', 'system.kuma.io/global-secret']",
        },
        notOurself,
      ],
    },
  ];
  return [
    configuration('MutatingWebhookConfiguration', MUTATING_CONFIGURATION, mutating, options),
    configuration('ValidatingWebhookConfiguration', VALIDATING_CONFIGURATION, validating, options),
  ];
}

function configuration(
  kind: string,
  name: string,
  webhooks: readonly Webhook[],
  options: WebhookConfigurationOptions,
): WebhookConfiguration {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name, ...(options.labels === undefined ? {} : { labels: options.labels }) },
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      admissionReviewVersions: ['v1'],
      matchPolicy: 'Equivalent',
      // A Mesh that brings in a CA elsewhere has it issue a probe certificate, but not in a dry run.
      sideEffects: kind === 'ValidatingWebhookConfiguration' ? 'NoneOnDryRun' : 'None',
      timeoutSeconds: 10,
      ...(kind === 'MutatingWebhookConfiguration' ? { reinvocationPolicy: 'Never' } : {}),
    })),
  };
}

function clientConfig({ target, namespace, caBundle }: WebhookConfigurationOptions, path: string): unknown {
  const where =
    'url' in target
      ? { url: `${target.url.replace(/\/+$/, '')}${path}` }
      : { service: { namespace, name: target.service, path, port: target.port ?? 443 } };
  return caBundle === undefined ? where : { ...where, caBundle: Buffer.from(caBundle).toString('base64') };
}

/** Namespaces whose objects of ours are looked at; a selector never leaves out cluster-scoped objects. */
function scope({ namespaceAllowList = [], namespace }: WebhookConfigurationOptions) {
  if (namespaceAllowList.length === 0) return {};
  return { namespaceSelector: { matchExpressions: allowed([...namespaceAllowList, namespace]) } };
}

function allowed(namespaces: readonly string[]): readonly Expression[] {
  return namespaces.length === 0 ? [] : [{ key: NAMESPACE_NAME, operator: 'In', values: [...new Set(namespaces)] }];
}

function kumaRule(operations: readonly string[], kinds: readonly Kind[]): unknown {
  return rule(KUMA_GROUP, KUMA_VERSION, operations, kinds.map((kind) => kindResourceType(kind).plural).sort());
}

function rule(group: string, version: string, operations: readonly string[], resources: readonly string[]): unknown {
  return { apiGroups: [group], apiVersions: [version], operations, resources, scope: '*' };
}
