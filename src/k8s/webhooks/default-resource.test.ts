import { describe, expect, it } from 'vitest';
import { admissionRequest, type KubernetesObject, webhookContext } from '../../testing/admission.ts';
import { createDefaultWebhook } from './default-resource.ts';

const webhook = createDefaultWebhook(webhookContext());
const mesh = (spec?: unknown, metadata = {}): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'Mesh',
  metadata: { name: 'm', ...metadata },
  ...(spec === undefined ? {} : { spec }),
});
const policy = (namespace: string, labels?: Record<string, string>): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'MeshTrafficPermission',
  metadata: { name: 'p', namespace, ...(labels === undefined ? {} : { labels }) },
  spec: { from: [] },
});

describe('default webhook', () => {
  it('leaves a Mesh that needs nothing alone', async () => {
    expect(await webhook.handle(admissionRequest(mesh()))).toEqual({ allowed: true, patch: [] });
    expect(await webhook.handle(admissionRequest(mesh({ mtls: { enabledBackend: '' }, unknown: 1 })))).toEqual({
      allowed: true,
      patch: [],
    });
  });

  it('fills in what Kuma stores for Prometheus, and nothing else', async () => {
    const spec = {
      metrics: { enabledBackend: 'p', backends: [{ name: 'p', type: 'prometheus', conf: { port: 1, own: true } }] },
      mtls: { enabledBackend: '' },
    };
    expect(await webhook.handle(admissionRequest(mesh(spec)))).toEqual({
      allowed: true,
      patch: [
        { op: 'add', path: '/spec/metrics/backends/0/conf/path', value: '/metrics' },
        {
          op: 'add',
          path: '/spec/metrics/backends/0/conf/tags',
          value: { 'kuma.io/service': 'dataplane-metrics' },
        },
        { op: 'add', path: '/spec/metrics/backends/0/conf/tls', value: {} },
      ],
    });
  });

  it('adds labels, all of them at once where there are none', async () => {
    expect(await webhook.handle(admissionRequest(policy('shop')))).toEqual({
      allowed: true,
      patch: [
        {
          op: 'add',
          path: '/metadata/labels',
          value: {
            'k8s.kuma.io/namespace': 'shop',
            'kuma.io/env': 'kubernetes',
            'kuma.io/mesh': 'default',
            'kuma.io/origin': 'zone',
            'kuma.io/policy-role': 'workload-owner',
            'kuma.io/zone': 'east',
          },
        },
      ],
    });
  });

  it('keeps labels that are there, and knows the system namespace', async () => {
    const labels = { 'kuma.io/mesh': 'other', mine: '1', 'kuma.io/policy-role': 'workload-owner' };
    expect(await webhook.handle(admissionRequest(policy('sys', labels)))).toEqual({
      allowed: true,
      patch: [
        { op: 'replace', path: '/metadata/labels/kuma.io~1policy-role', value: 'system' },
        { op: 'add', path: '/metadata/labels/k8s.kuma.io~1namespace', value: 'sys' },
        { op: 'add', path: '/metadata/labels/kuma.io~1env', value: 'kubernetes' },
        { op: 'add', path: '/metadata/labels/kuma.io~1origin', value: 'zone' },
        { op: 'add', path: '/metadata/labels/kuma.io~1zone', value: 'east' },
      ],
    });
  });

  it('gives a Dataplane its zone and says what it is', async () => {
    const dataplane: KubernetesObject = {
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'Dataplane',
      metadata: {
        name: 'web',
        namespace: 'shop',
        labels: {
          'k8s.kuma.io/namespace': 'shop',
          'kuma.io/env': 'kubernetes',
          'kuma.io/mesh': 'default',
          'kuma.io/origin': 'zone',
          'kuma.io/zone': 'east',
        },
      },
      spec: { networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'web' } }] } },
    };
    expect(await webhook.handle(admissionRequest(dataplane))).toEqual({
      allowed: true,
      patch: [
        { op: 'add', path: '/metadata/labels/kuma.io~1proxy-type', value: 'sidecar' },
        { op: 'add', path: '/spec/networking/inbound/0/tags/kuma.io~1zone', value: 'east' },
      ],
    });
  });

  it('has nothing to add the second time', async () => {
    const labels = {
      'k8s.kuma.io/namespace': 'shop',
      'kuma.io/env': 'kubernetes',
      'kuma.io/mesh': 'default',
      'kuma.io/origin': 'zone',
      'kuma.io/policy-role': 'workload-owner',
      'kuma.io/zone': 'east',
    };
    expect(await webhook.handle(admissionRequest(policy('shop', labels)))).toEqual({ allowed: true, patch: [] });
  });

  it.each([
    ['a broken spec: the validating webhook names the fields', { ...policy('shop'), spec: { from: 1 } }],
    ['a kind of someone else', { ...mesh(), apiVersion: 'example.com/v1' }],
    ['a record of the control plane', { ...policy('shop'), kind: 'SealedLeaf' }],
  ])('passes %s', async (_what, object) => {
    expect(await webhook.handle(admissionRequest(object))).toEqual({ allowed: true });
  });

  it('wants people to say the origin in the system namespace of a federated zone', async () => {
    const federated = createDefaultWebhook(webhookContext({ federated: true }));
    expect(await federated.handle(admissionRequest(policy('sys')))).toMatchObject({
      allowed: false,
      status: {
        code: 403,
        reason: 'Forbidden',
        message:
          "Operation not allowed. Applying policies on Zone CP requires 'kuma.io/origin' label to be set to 'zone'.",
      },
    });
    const asControlPlane = { username: 'system:serviceaccount:sys:weft-control-plane' };
    expect(await federated.handle(admissionRequest(policy('sys'), asControlPlane))).toMatchObject({ allowed: true });
    expect(await federated.handle(admissionRequest(policy('shop')))).toMatchObject({ allowed: true });
  });
});
