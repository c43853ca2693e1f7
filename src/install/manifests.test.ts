import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../control-plane/config.ts';
import type { KubeObject } from '../k8s/api/object.ts';
import { demoManifests } from './demo.ts';
import { controlPlaneManifests, ValuesError } from './manifests.ts';
import { controlPlanePermissions } from './permissions.ts';
import { permissionsReference } from './permissions-reference.ts';

const CRD: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'xs.kuma.io' },
};

interface PodSpec {
  readonly containers: readonly {
    readonly image: string;
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly securityContext: unknown;
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  readonly volumes: readonly { readonly name: string }[];
  readonly [field: string]: unknown;
}

function install(...values: readonly unknown[]): readonly KubeObject[] {
  return controlPlaneManifests({ namespace: 'mesh', version: '1.2.3', values, crds: [CRD] });
}

function only<T>(objects: readonly KubeObject[], kind: string): KubeObject & T {
  const found = objects.filter((object) => object.kind === kind);
  expect(found, kind).toHaveLength(1);
  return found[0] as KubeObject & T;
}

function podOf(objects: readonly KubeObject[]): PodSpec {
  return only<{ spec: { template: { spec: PodSpec } } }>(objects, 'Deployment').spec.template.spec;
}

function environmentOf(objects: readonly KubeObject[]): Record<string, string> {
  const { env } = podOf(objects).containers[0]!;
  return Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}

describe('controlPlaneManifests', () => {
  it('has the objects in the order they can be applied in', () => {
    expect(install({ namespace: { create: true } }).map(({ kind }) => kind)).toEqual([
      'Namespace',
      'CustomResourceDefinition',
      'ServiceAccount',
      'ClusterRole',
      'ClusterRoleBinding',
      'Role',
      'RoleBinding',
      'ConfigMap',
      'Service',
      'PodDisruptionBudget',
      'Deployment',
      'MutatingWebhookConfiguration',
      'ValidatingWebhookConfiguration',
    ]);
  });

  it('leaves out what is switched off', () => {
    const kinds = install({
      crds: { enabled: false },
      controlPlane: { podDisruptionBudget: { enabled: false } },
      monitoring: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } },
    }).map(({ kind }) => kind);
    expect(kinds).not.toContain('Namespace');
    expect(kinds).not.toContain('CustomResourceDefinition');
    expect(kinds).not.toContain('PodDisruptionBudget');
    expect(kinds).toContain('ServiceMonitor');
    expect(kinds).toContain('PrometheusRule');
  });

  it('starts a control plane with a configuration it understands whole', () => {
    const { config, warnings } = loadConfig({ env: { ...environmentOf(install()), HOME: '/' } });
    expect(config).toMatchObject({
      environment: 'kubernetes',
      store: { type: 'kubernetes', kubernetes: { systemNamespace: 'mesh' } },
      apiServer: { readOnly: true, authn: { localhostIsAdmin: false } },
    });
    expect(warnings).toEqual([]);
  });

  it('runs it as nobody, on a file system it can not write', () => {
    const pod = podOf(install());
    expect(pod['securityContext']).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.containers[0]!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('takes images from where the user keeps them', () => {
    const images = (values: unknown) => {
      const objects = install(values);
      return [podOf(objects).containers[0]!.image, environmentOf(objects)['KUMA_INJECTOR_INIT_CONTAINER_IMAGE']];
    };
    expect(images({})).toEqual(['weft/control-plane:1.2.3', 'weft/proxy:1.2.3']);
    expect(images({ global: { image: { registry: 'r.example/x', tag: 'dev' } } })).toEqual([
      'r.example/x/control-plane:dev',
      'r.example/x/proxy:dev',
    ]);
    expect(images({ dataPlane: { image: { registry: 'other', repository: 'envoy', tag: '9' } } })).toEqual([
      'weft/control-plane:1.2.3',
      'other/envoy:9',
    ]);
  });

  it('lets variables of the user replace ours, each name once', () => {
    const { env } = podOf(
      install({
        controlPlane: {
          envVars: { WEFT_LOG_LEVEL: 'debug', KUMA_DEFAULTS_SKIP_MESH_CREATION: 'true' },
          extraEnv: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }],
        },
      }),
    ).containers[0]!;
    const names = env.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(env).toContainEqual({ name: 'WEFT_LOG_LEVEL', value: 'debug' });
    expect(env.at(-1)).toEqual({ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } });
  });

  it('mounts what the user names', () => {
    const pod = podOf(install({ controlPlane: { extraSecrets: [{ name: 'tls', mountPath: '/tls' }] } }));
    expect(pod.volumes).toContainEqual({ name: 'secret-tls', secret: { secretName: 'tls' } });
    expect(pod.containers[0]!.volumeMounts).toContainEqual({ name: 'secret-tls', mountPath: '/tls', readOnly: true });
  });

  it('starts new Pods when the configuration file changes', () => {
    const checksum = (values: unknown) =>
      only<{ spec: { template: { metadata: { annotations: Record<string, string> } } } }>(install(values), 'Deployment')
        .spec.template.metadata.annotations['checksum/config'];
    expect(checksum({})).toHaveLength(64);
    expect(checksum({ controlPlane: { config: 'mode: zone\n' } })).not.toBe(checksum({}));
  });

  it('names every value that does not fit', () => {
    const refused = () => install({ controlPlane: { replicas: -1, tolerations: 'all' } });
    expect(refused).toThrow(ValuesError);
    expect(refused).toThrow(
      'read values: controlPlane.replicas: must be 0 or more; controlPlane.tolerations: must be a list',
    );
  });
});

describe('controlPlanePermissions', () => {
  const permissions = controlPlanePermissions();

  it('is what docs/reference/kubernetes-rights.md holds; print it anew with `node scripts/generate-docs.ts`', () => {
    const file = new URL('../../docs/reference/kubernetes-rights.md', import.meta.url);
    expect(readFileSync(file, 'utf8')).toBe(permissionsReference());
  });

  it('has no rule for everything', () => {
    for (const { resources, verbs } of permissions) expect([...resources, ...verbs]).not.toContain('*');
  });

  it('reads no Secret outside the system namespace', () => {
    const secrets = permissions.filter(({ resources }) => resources.includes('secrets'));
    expect(secrets.map(({ scope }) => scope)).toEqual(['system']);
  });

  it('reaches nobody else’s webhook configuration, and asks for no approval or signing right', () => {
    for (const permission of permissions.filter(({ group }) => group === 'admissionregistration.k8s.io')) {
      expect(permission.names).toHaveLength(1);
    }
    const rights = permissions.flatMap(({ resources, verbs }) => [...resources, ...verbs]);
    for (const right of ['signers', 'approve', 'sign', 'certificaterequests/status', 'escalate', 'bind', 'impersonate'])
      expect(rights).not.toContain(right);
  });

  it('lists each right once, with its use', () => {
    const rights = permissions.flatMap(({ scope, group, resources, verbs }) =>
      resources.flatMap((resource) => verbs.map((verb) => `${scope} ${group}/${resource} ${verb}`)),
    );
    expect(new Set(rights).size).toBe(rights.length);
    for (const { use } of permissions) expect(use).toMatch(/^[a-z ]+: .+/i);
  });
});

describe('demoManifests', () => {
  const objects = demoManifests({
    namespace: 'demo',
    systemNamespace: 'mesh',
    mesh: 'default',
    image: 'weft/control-plane:1.2.3',
    requestsPerSecond: 20,
  });

  it('is a namespace in the mesh with two services, and nothing before its namespace', () => {
    expect(objects[0]).toMatchObject({
      kind: 'Namespace',
      metadata: { name: 'demo', labels: { 'kuma.io/sidecar-injection': 'enabled' } },
    });
    expect(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      'Namespace/demo',
      'ServiceAccount/api',
      'ServiceAccount/web',
      'Service/api',
      'Service/web',
      'MeshTrafficPermission/demo-web-to-api',
      'Deployment/api',
      'Deployment/web',
    ]);
  });

  it('lets web call api, by the names that services have on Kubernetes', () => {
    expect(only(objects, 'MeshTrafficPermission')).toMatchObject({
      metadata: { namespace: 'mesh', labels: { 'kuma.io/mesh': 'default' } },
      spec: {
        targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'api_demo_svc_8080' } },
        from: [
          {
            targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'web_demo_svc_8080' } },
            default: { action: 'Allow' },
          },
        ],
      },
    });
  });

  it('runs as a user that is not the proxy’s', () => {
    for (const object of objects.filter(({ kind }) => kind === 'Deployment')) {
      expect(object).toMatchObject({ spec: { template: { spec: { securityContext: { runAsUser: 1000 } } } } });
    }
  });
});
