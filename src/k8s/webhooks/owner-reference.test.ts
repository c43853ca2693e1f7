import { describe, expect, it } from 'vitest';
import { admissionRequest, type KubernetesObject, webhookContext } from '../../testing/admission.ts';
import { createOwnerReferenceWebhook } from './owner-reference.ts';

const webhook = createOwnerReferenceWebhook(webhookContext());
const policy = (metadata = {}): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'MeshTrafficPermission',
  metadata: { name: 'p', namespace: 'shop', ...metadata },
  spec: {},
});

describe('owner reference webhook', () => {
  it('makes the Mesh the owner', async () => {
    expect(await webhook.handle(admissionRequest(policy()))).toEqual({
      allowed: true,
      patch: [
        {
          op: 'add',
          path: '/metadata/ownerReferences',
          value: [{ apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'default', uid: 'mesh-uid' }],
        },
      ],
    });
  });

  it('refuses what is of a mesh that is not there', async () => {
    expect(await webhook.handle(admissionRequest(policy({ labels: { 'kuma.io/mesh': 'none' } })))).toEqual({
      allowed: false,
      status: {
        status: 'Failure',
        code: 422,
        reason: 'Invalid',
        message: 'mesh: mesh of name none is not found',
        details: {
          name: 'p',
          kind: 'MeshTrafficPermission',
          causes: [{ reason: 'FieldValueInvalid', field: 'mesh', message: 'mesh of name none is not found' }],
        },
      },
    });
  });

  it.each([
    [
      'an object with an owner',
      policy({ ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }] }),
      {},
    ],
    ['an update', policy(), { operation: 'UPDATE' as const }],
    ['a Mesh', { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name: 'm' } }, {}],
    ['a broken object', { ...policy(), spec: 1 }, {}],
  ])('leaves %s alone', async (_what, object, options) => {
    expect(await webhook.handle(admissionRequest(object, options))).toEqual({ allowed: true });
  });
});
