import { z } from 'zod';
import { ALERTS_GUIDE } from './certificate-alerts.ts';
import { count, flag, list, object, oneOf, text, texts } from './chart-value.ts';

/**
 * Every value of `deploy/helm/weft` and of `weft install control-plane --set`. Where Kuma's chart has the same thing, the key is Kuma's.
 * `values.yaml`, `values.schema.json` and the table in the chart's README are printed from it.
 */

const word = z.string('must be a text').min(1, 'must not be empty');
const kubernetesObject = z.record(z.string(), z.unknown(), 'must be a map');
const mounted = z.strictObject({ name: word, mountPath: word });
const variable = z
  .strictObject({
    name: word,
    value: z.string('must be a text; put it in quotes').optional(),
    valueFrom: kubernetesObject.optional(),
  })
  .refine((one) => one.value === undefined || one.valueFrom === undefined, 'needs one of value and valueFrom');

export const CONTROL_PLANE_VALUES = {
  namespace: {
    create: flag(false, 'Print the Namespace too. `helm install --create-namespace` makes it without.'),
  },
  global: {
    image: {
      registry: text('weft', 'Registry and path before the name of each image.'),
      tag: text('', 'Tag of each image. Empty: the version of the chart.'),
    },
    imagePullSecrets: list(
      word,
      'Names of Secrets in the system namespace to pull the image of the control plane with.',
    ),
  },
  crds: {
    enabled: flag(true, 'Install the CRDs of Weft and upgrade them with the chart.'),
    keep: flag(true, 'Keep CRDs, and with them every Mesh and policy, when the chart is uninstalled.'),
  },
  controlPlane: {
    replicas: count(
      1,
      0,
      'How many control planes run; all serve proxies, one at a time leads. Take 3 for high availability.',
    ),
    image: {
      registry: text('', 'Registry of this image. Empty: `global.image.registry`.'),
      repository: text('control-plane', 'Name of the image.'),
      tag: text('', 'Tag. Empty: `global.image.tag`.'),
      pullPolicy: oneOf('IfNotPresent', ['Always', 'IfNotPresent', 'Never'], 'When to pull the image.'),
    },
    logLevel: oneOf('info', ['debug', 'info', 'warn', 'error', 'off'], 'Least severe log line that is written.'),
    config: text(
      '',
      'Configuration file as text: keys as in docs/reference/control-plane-config.md. `envVars` win over it.',
    ),
    envVars: texts(
      'Environment variables of the control plane by name, such as `KUMA_DEFAULTS_SKIP_MESH_CREATION: "true"`. They win over those set here.',
    ),
    extraEnv: list(variable, 'More environment variables in the form of a container: for `valueFrom`.'),
    extraSecrets: list(mounted, 'Secrets of the system namespace to mount: `{name, mountPath}`, read-only.'),
    extraConfigMaps: list(mounted, 'ConfigMaps of the system namespace to mount: `{name, mountPath}`, read-only.'),
    defaults: {
      skipMeshCreation: flag(false, 'Do not create the Mesh `default` at the first start.'),
    },
    injectorFailurePolicy: oneOf(
      'Fail',
      ['Fail', 'Ignore'],
      'What happens to a Pod of a labelled namespace while no control plane answers: `Fail` refuses it, `Ignore` starts it without a sidecar.',
    ),
    service: {
      type: oneOf('ClusterIP', ['ClusterIP', 'NodePort', 'LoadBalancer'], 'Type of the Service.'),
      annotations: texts('Annotations of the Service.'),
    },
    resources: object(
      { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory: '512Mi' } },
      'Resources of the container. Memory by number of proxies: docs/performance.md.',
    ),
    podDisruptionBudget: {
      enabled: flag(true, 'Add a PodDisruptionBudget.'),
      maxUnavailable: count(1, 1, 'How many control planes a drain may take away at a time.'),
    },
    terminationGracePeriodSeconds: count(
      30,
      0,
      'Seconds between SIGTERM and SIGKILL; proxies move to another replica in that time.',
    ),
    nodeSelector: texts('Labels a node must have.'),
    tolerations: list(kubernetesObject, 'Taints of nodes to tolerate.'),
    affinity: object({}, 'Affinity of the Pods.'),
    topologySpreadConstraints: list(kubernetesObject, 'How replicas spread over the cluster.', [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'weft-control-plane' } },
      },
      {
        maxSkew: 1,
        topologyKey: 'topology.kubernetes.io/zone',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'weft-control-plane' } },
      },
    ]),
    priorityClassName: text('', 'Priority class of the Pods.'),
    podSecurityContext: object(
      {
        runAsNonRoot: true,
        runAsUser: 5678,
        runAsGroup: 5678,
        fsGroup: 5678,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      'Security context of the Pods. On OpenShift set `runAsUser`, `runAsGroup` and `fsGroup` to null.',
    ),
    containerSecurityContext: object(
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      'Security context of the container.',
    ),
    labels: texts('Further labels of every object.'),
    annotations: texts('Annotations of the Deployment.'),
    podLabels: texts('Further labels of the Pods.'),
    podAnnotations: texts('Annotations of the Pods.'),
    serviceAccountAnnotations: texts('Annotations of the ServiceAccount.'),
  },
  dataPlane: {
    image: {
      registry: text('', 'Registry of the image of sidecars and init containers. Empty: `global.image.registry`.'),
      repository: text('proxy', 'Name of that image.'),
      tag: text('', 'Tag. Empty: `global.image.tag`.'),
    },
  },
  monitoring: {
    serviceMonitor: {
      enabled: flag(false, 'Add a ServiceMonitor for the Prometheus operator, whose CRDs must be there.'),
      interval: text('30s', 'How often it scrapes.'),
      labels: texts('Further labels, for the selector of your Prometheus.'),
    },
    prometheusRule: {
      enabled: flag(
        false,
        'Add the alerts about certificates as a PrometheusRule for the Prometheus operator, whose CRDs must be there.',
      ),
      labels: texts('Further labels, for the rule selector of your Prometheus.'),
      runbooks: text(ALERTS_GUIDE, 'Where the alerts link to: the address of this page as your people reach it.'),
    },
  },
};
