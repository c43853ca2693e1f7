import { describe, expect, it } from 'vitest';
import { admissionRequest, type KubernetesObject } from '../../testing/admission.ts';
import type { Namespace } from '../api/core-kinds.ts';
import { createInjectWebhook, type InjectPod } from './inject-sidecar.ts';

const namespace: Namespace = { metadata: { name: 'shop', labels: { 'kuma.io/sidecar-injection': 'enabled' } } };
const webhookOf = (inject: InjectPod) =>
  createInjectWebhook({ inject, namespace: async (name) => (name === 'shop' ? namespace : undefined) });
const pod: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'web-', namespace: 'shop' },
  spec: { containers: [{ name: 'app', image: 'app:1' }] },
};

describe('inject webhook', () => {
  it('turns the injected Pod into a patch', async () => {
    const webhook = webhookOf((given, { metadata }) => ({
      kind: 'injected',
      pod: {
        ...given,
        metadata: { ...given.metadata, annotations: { 'kuma.io/mesh': metadata.name } },
        spec: { ...given.spec, containers: [...(given.spec?.containers ?? []), { name: 'kuma-sidecar' }] },
      },
      warnings: ['careful'],
    }));
    expect(await webhook.handle(admissionRequest(pod))).toEqual({
      allowed: true,
      patch: [
        { op: 'add', path: '/metadata/annotations', value: { 'kuma.io/mesh': 'shop' } },
        { op: 'add', path: '/spec/containers/1', value: { name: 'kuma-sidecar' } },
      ],
      warnings: ['careful'],
    });
  });

  it('leaves a Pod alone that is not to be injected, and refuses one that says nonsense', async () => {
    expect(await webhookOf(() => ({ kind: 'skipped', reason: 'not wanted' })).handle(admissionRequest(pod))).toEqual({
      allowed: true,
    });
    const field = 'metadata.annotations["kuma.io/gateway"]';
    const refused = await webhookOf(() => ({
      kind: 'refused',
      violations: [{ field, message: 'wrong value' }],
    })).handle(admissionRequest(pod));
    expect(refused).toMatchObject({
      allowed: false,
      status: { code: 422, message: `${field}: wrong value`, details: { kind: 'Pod', causes: [{ field }] } },
    });
  });

  it.each([
    ['an update', pod, { operation: 'UPDATE' as const }],
    ['an ephemeral container', pod, { subResource: 'ephemeralcontainers' }],
    ['something else', { ...pod, kind: 'Service' }, {}],
  ])('does not look at %s', async (_what, object, options) => {
    const webhook = webhookOf(() => {
      throw new Error('asked');
    });
    expect(await webhook.handle(admissionRequest(object, options))).toEqual({ allowed: true });
  });

  it('refuses a Pod whose namespace is gone', async () => {
    const elsewhere = { ...pod, metadata: { name: 'p', namespace: 'gone' } };
    const webhook = webhookOf(() => ({ kind: 'skipped', reason: 'not wanted' }));
    expect(await webhook.handle(admissionRequest(elsewhere))).toMatchObject({ allowed: false, status: { code: 403 } });
  });
});
