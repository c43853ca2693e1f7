/**
 * Everything of a control plane in a cluster, as manifests with holes for the values of `control-plane-values.ts`.
 *
 * ```
 * controlPlaneTemplates ──┬─ render.ts ────────> weft install control-plane
 *                         └─ helm-template.ts ─> deploy/helm/weft/templates
 * ```
 */
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import { certificateAlertGroups } from './certificate-alerts.ts';
import { CONTROL_PLANE_VALUES } from './control-plane-values.ts';
import { controlPlanePermissions, rulesOf } from './permissions.ts';
import {
  digest,
  each,
  firstOf,
  holes,
  ITEM,
  ifSet,
  itemField,
  itemsOf,
  KEY,
  NAMESPACE,
  type Template,
  text,
  VERSION,
  whenSet,
  whenWithout,
  withEntries,
} from './template.ts';
import { webhookConfigurations } from './webhook-configurations.ts';

/** Name of the Deployment, the Service, the ServiceAccount and all that belongs to them. */
const CONTROL_PLANE = 'weft-control-plane';

/** One object with its place in the chart. The order is the one they are applied in. */
export interface NamedTemplate {
  /** File under `templates/`. */
  readonly file: string;
  readonly template: Template;
}

const V = holes(CONTROL_PLANE_VALUES);
const SELECTOR = { app: CONTROL_PLANE };
const OWN_LABELS = {
  ...SELECTOR,
  'app.kubernetes.io/component': 'control-plane',
  'app.kubernetes.io/name': 'weft',
  'app.kubernetes.io/part-of': 'weft',
  'app.kubernetes.io/version': VERSION,
};
const LABELS = withEntries(OWN_LABELS, V.controlPlane.labels);

const CONFIG_FOLDER = '/etc/weft';
const WORK_FOLDER = '/var/lib/weft';

/** Container port by name; the Service has the same names. */
const PORTS = { api: 5681, 'api-tls': 5682, proxies: 5678, webhooks: 5443, diagnostics: 5680 };

/** Every object but the CRDs. */
export function controlPlaneTemplates(): readonly NamedTemplate[] {
  return [
    { file: 'namespace.yaml', template: whenSet(V.namespace.create, namespace()) },
    { file: 'service-account.yaml', template: serviceAccount() },
    ...rbac(),
    { file: 'config.yaml', template: configMap() },
    { file: 'service.yaml', template: service() },
    { file: 'pod-disruption-budget.yaml', template: whenSet(V.controlPlane.podDisruptionBudget.enabled, budget()) },
    { file: 'deployment.yaml', template: deployment() },
    { file: 'service-monitor.yaml', template: whenSet(V.monitoring.serviceMonitor.enabled, serviceMonitor()) },
    { file: 'prometheus-rule.yaml', template: whenSet(V.monitoring.prometheusRule.enabled, prometheusRule()) },
    ...webhooks(),
  ];
}

function namespace(): Template {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels: LABELS } };
}

function meta(name = CONTROL_PLANE) {
  return { name, namespace: NAMESPACE, labels: LABELS };
}

function serviceAccount(): Template {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { ...meta(), annotations: ifSet(V.controlPlane.serviceAccountAnnotations) },
    imagePullSecrets: whenSet(V.global.imagePullSecrets, [each(V.global.imagePullSecrets, { name: ITEM })]),
  };
}

function rbac(): readonly NamedTemplate[] {
  const permissions = controlPlanePermissions();
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const apiGroup = 'rbac.authorization.k8s.io';
  const subjects = [{ kind: 'ServiceAccount', name: CONTROL_PLANE, namespace: NAMESPACE }];
  const ofCluster = { name: CONTROL_PLANE, labels: LABELS };
  return [
    {
      file: 'cluster-role.yaml',
      template: { apiVersion, kind: 'ClusterRole', metadata: ofCluster, rules: rulesOf(permissions, 'cluster') },
    },
    {
      file: 'cluster-role-binding.yaml',
      template: {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata: ofCluster,
        roleRef: { apiGroup, kind: 'ClusterRole', name: CONTROL_PLANE },
        subjects,
      },
    },
    {
      file: 'role.yaml',
      template: { apiVersion, kind: 'Role', metadata: meta(), rules: rulesOf(permissions, 'system') },
    },
    {
      file: 'role-binding.yaml',
      template: {
        apiVersion,
        kind: 'RoleBinding',
        metadata: meta(),
        roleRef: { apiGroup, kind: 'Role', name: CONTROL_PLANE },
        subjects,
      },
    },
  ];
}

function configMap(): Template {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: meta(),
    data: { 'config.yaml': V.controlPlane.config },
  };
}

function service(): Template {
  const ports = Object.entries({ ...PORTS, webhooks: 443 }).map(([name, port]) => ({
    name,
    port,
    protocol: 'TCP',
    targetPort: name,
  }));
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...meta(), annotations: ifSet(V.controlPlane.service.annotations) },
    spec: { type: V.controlPlane.service.type, selector: SELECTOR, ports },
  };
}

function budget(): Template {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: meta(),
    spec: { maxUnavailable: V.controlPlane.podDisruptionBudget.maxUnavailable, selector: { matchLabels: SELECTOR } },
  };
}

function deployment(): Template {
  const { controlPlane } = V;
  const annotations = withEntries({ 'checksum/config': digest(controlPlane.config) }, controlPlane.podAnnotations);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...meta(), annotations: ifSet(controlPlane.annotations) },
    spec: {
      replicas: controlPlane.replicas,
      selector: { matchLabels: SELECTOR },
      // One more before one less: proxies and the API server always find a control plane.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels: withEntries(OWN_LABELS, controlPlane.labels, controlPlane.podLabels), annotations },
        spec: {
          serviceAccountName: CONTROL_PLANE,
          securityContext: controlPlane.podSecurityContext,
          terminationGracePeriodSeconds: controlPlane.terminationGracePeriodSeconds,
          nodeSelector: withEntries({ 'kubernetes.io/os': 'linux' }, controlPlane.nodeSelector),
          affinity: ifSet(controlPlane.affinity),
          tolerations: ifSet(controlPlane.tolerations),
          topologySpreadConstraints: ifSet(controlPlane.topologySpreadConstraints),
          priorityClassName: ifSet(controlPlane.priorityClassName),
          containers: [container()],
          volumes: [
            { name: 'config', configMap: { name: CONTROL_PLANE } },
            { name: 'work', emptyDir: {} },
            each(controlPlane.extraConfigMaps, {
              name: text`config-map-${itemField('name')}`,
              configMap: { name: itemField('name') },
            }),
            each(controlPlane.extraSecrets, {
              name: text`secret-${itemField('name')}`,
              secret: { secretName: itemField('name') },
            }),
          ],
        },
      },
    },
  };
}

function container(): Template {
  const { controlPlane } = V;
  const probe = (path: string, more: { readonly [key: string]: number }) => ({
    httpGet: { path, port: 'diagnostics' },
    timeoutSeconds: 3,
    ...more,
  });
  return {
    name: 'control-plane',
    image: image(controlPlane.image),
    imagePullPolicy: controlPlane.image.pullPolicy,
    args: ['cp', 'run', '--config', `${CONFIG_FOLDER}/config.yaml`],
    env: environment(),
    ports: Object.entries(PORTS).map(([name, containerPort]) => ({ name, containerPort, protocol: 'TCP' })),
    startupProbe: probe('/healthy', { periodSeconds: 1, failureThreshold: 60 }),
    livenessProbe: probe('/healthy', { periodSeconds: 10, failureThreshold: 6 }),
    readinessProbe: probe('/ready', { periodSeconds: 5, failureThreshold: 2 }),
    // The address leaves the Service before the servers close: no admission review and no proxy is sent to a closed port.
    lifecycle: { preStop: { sleep: { seconds: 5 } } },
    resources: controlPlane.resources,
    securityContext: controlPlane.containerSecurityContext,
    volumeMounts: [
      { name: 'config', mountPath: CONFIG_FOLDER, readOnly: true },
      { name: 'work', mountPath: WORK_FOLDER },
      each(controlPlane.extraConfigMaps, {
        name: text`config-map-${itemField('name')}`,
        mountPath: itemField('mountPath'),
        readOnly: true,
      }),
      each(controlPlane.extraSecrets, {
        name: text`secret-${itemField('name')}`,
        mountPath: itemField('mountPath'),
        readOnly: true,
      }),
    ],
  };
}

/** Variables of ours, each unless the user gave one of the same name, and the user's. */
function environment(): Template {
  const proxyImage = image(V.dataPlane.image);
  const own: Readonly<Record<string, Template>> = {
    KUMA_API_SERVER_AUTHN_LOCALHOST_IS_ADMIN: 'false',
    KUMA_API_SERVER_READ_ONLY: 'true',
    KUMA_DEFAULTS_SKIP_MESH_CREATION: text`${V.controlPlane.defaults.skipMeshCreation}`,
    KUMA_ENVIRONMENT: 'kubernetes',
    KUMA_GENERAL_WORK_DIR: WORK_FOLDER,
    KUMA_INJECTOR_INIT_CONTAINER_IMAGE: proxyImage,
    KUMA_RUNTIME_KUBERNETES_ADMISSION_SERVER_PORT: String(PORTS.webhooks),
    KUMA_RUNTIME_KUBERNETES_CONTROL_PLANE_SERVICE_NAME: CONTROL_PLANE,
    KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_IMAGE: proxyImage,
    KUMA_RUNTIME_KUBERNETES_SERVICE_ACCOUNT_NAME: text`system:serviceaccount:${NAMESPACE}:weft-control-plane`,
    KUMA_STORE_KUBERNETES_SYSTEM_NAMESPACE: NAMESPACE,
    KUMA_STORE_TYPE: 'kubernetes',
    WEFT_LOG_LEVEL: V.controlPlane.logLevel,
  };
  return [
    ...Object.entries(own).map(([name, value]) => whenWithout(V.controlPlane.envVars, name, { name, value })),
    { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
    each(V.controlPlane.envVars, { name: KEY, value: ITEM }),
    itemsOf(V.controlPlane.extraEnv),
  ];
}

function image({ registry, repository, tag }: typeof V.dataPlane.image): Template {
  const from = firstOf(registry, V.global.image.registry);
  return text`${from}/${repository}:${firstOf(tag, V.global.image.tag, VERSION)}`;
}

function serviceMonitor(): Template {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: {
      ...meta(),
      labels: withEntries(OWN_LABELS, V.controlPlane.labels, V.monitoring.serviceMonitor.labels),
    },
    spec: {
      selector: { matchLabels: SELECTOR },
      endpoints: [{ port: 'diagnostics', path: '/metrics', interval: V.monitoring.serviceMonitor.interval }],
    },
  };
}

function prometheusRule(): Template {
  const { labels, runbooks } = V.monitoring.prometheusRule;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { ...meta(), labels: withEntries(OWN_LABELS, V.controlPlane.labels, labels) },
    spec: { groups: certificateAlertGroups((section) => ({ $: 'text', parts: [runbooks, `#${section}`] })) },
  };
}

/** The configurations of `webhook-configurations.ts`, with the namespace as a hole. */
function webhooks(): readonly NamedTemplate[] {
  const mark = '\u0001namespace\u0001';
  const made = webhookConfigurations({
    namespace: mark,
    target: { service: CONTROL_PLANE },
    kinds: [...coreKinds, ...policyKinds],
    serviceAccount: CONTROL_PLANE,
  });
  return made.map(({ metadata, webhooks: entries, ...rest }) => ({
    file: `${metadata.name.replace('weft-admission-', '')}-webhooks.yaml`,
    template: {
      ...rest,
      metadata: { name: metadata.name, labels: LABELS },
      webhooks: entries.map((webhook) => ({
        ...(namespaceMarks(webhook, mark) as { readonly [key: string]: Template }),
        ...(webhook.name.includes('injector') ? { failurePolicy: V.controlPlane.injectorFailurePolicy } : {}),
      })),
    },
  }));
}

/** A copy of plain JSON in which every text around the mark has the namespace in its place. */
function namespaceMarks(json: unknown, mark: string): Template {
  if (typeof json === 'string') {
    if (json === mark) return NAMESPACE;
    if (!json.includes(mark)) return json;
    const parts = json.split(mark).flatMap((part, index) => (index === 0 ? [part] : [NAMESPACE, part]));
    return { $: 'text', parts };
  }
  if (Array.isArray(json)) return json.map((item) => namespaceMarks(item, mark));
  if (typeof json !== 'object' || json === null) return json as number | boolean | null;
  return Object.fromEntries(Object.entries(json).map(([key, inner]) => [key, namespaceMarks(inner, mark)]));
}
