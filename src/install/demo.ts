import type { KubeObject } from '../k8s/api/object.ts';

export interface DemoOptions {
  /** Namespace of the demo. */
  readonly namespace: string;
  /** The one of the control plane. */
  readonly systemNamespace: string;
  readonly mesh: string;
  /** Image that has Weft in it: the control plane's. */
  readonly image: string;
  /** How often `web` calls `api`. */
  readonly requestsPerSecond: number;
}

const PORT = 8080;

/**
 * A namespace that is in the mesh, with `api` and a `web` that calls it all the time: `kubectl logs deployment/web` tells how it goes, and so does
 * `/traffic` of its port. Both are programs of Weft's own image. A policy lets `web` call `api`, for a mesh with mTLS.
 */
export function demoManifests(options: DemoOptions): readonly KubeObject[] {
  const { namespace, mesh, requestsPerSecond } = options;
  const address = `0.0.0.0:${PORT}`;
  return [
    object('v1', 'Namespace', {
      name: namespace,
      labels: { 'kuma.io/sidecar-injection': 'enabled', 'kuma.io/mesh': mesh },
    }),
    ...['api', 'web'].map((name) => object('v1', 'ServiceAccount', { name, namespace })),
    ...['api', 'web'].map((name) => service(name, options)),
    permission(options),
    deployment('api', ['api', address], '/served', options),
    deployment(
      'web',
      ['web', address, `http://api.${namespace}:${PORT}/`, String(requestsPerSecond)],
      '/traffic',
      options,
    ),
  ];
}

function object(apiVersion: string, kind: string, metadata: KubeObject['metadata'], rest: object = {}): KubeObject {
  return { apiVersion, kind, metadata, ...rest };
}

function service(name: string, { namespace }: DemoOptions): KubeObject {
  const ports = [{ name: 'http', port: PORT, targetPort: 'http', protocol: 'TCP', appProtocol: 'http' }];
  return object('v1', 'Service', { name, namespace }, { spec: { selector: { app: name }, ports } });
}

/** With mTLS on and no permission, all traffic in a mesh is refused. */
function permission({ namespace, systemNamespace, mesh }: DemoOptions): KubeObject {
  const subset = (name: string) => ({
    targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': `${name}_${namespace}_svc_${PORT}` } },
  });
  return object(
    'kuma.io/v1alpha1',
    'MeshTrafficPermission',
    { name: `${namespace}-web-to-api`, namespace: systemNamespace, labels: { 'kuma.io/mesh': mesh } },
    { spec: { ...subset('api'), from: [{ ...subset('web'), default: { action: 'Allow' } }] } },
  );
}

function deployment(name: string, args: readonly string[], health: string, options: DemoOptions): KubeObject {
  const container = {
    name,
    image: options.image,
    command: ['/usr/local/bin/node', '/opt/weft/dist/bin/demo-service.js'],
    args,
    ports: [{ name: 'http', containerPort: PORT, protocol: 'TCP' }],
    readinessProbe: { httpGet: { path: health, port: 'http' }, periodSeconds: 2 },
    // The address leaves the Service first: a Pod that goes costs no request.
    lifecycle: { preStop: { sleep: { seconds: 3 } } },
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '128Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
  const securityContext = {
    runAsNonRoot: true,
    // Not the proxy's user: what the proxy sends is not redirected.
    runAsUser: 1000,
    runAsGroup: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  };
  return object(
    'apps/v1',
    'Deployment',
    { name, namespace: options.namespace, labels: { app: name } },
    {
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: { serviceAccountName: name, securityContext, containers: [container] },
        },
      },
    },
  );
}
