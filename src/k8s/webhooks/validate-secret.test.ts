import { describe, expect, it } from 'vitest';
import { admissionRequest, type KubernetesObject, webhookContext } from '../../testing/admission.ts';
import { createSecretWebhook } from './validate-secret.ts';
import type { Verdict } from './verdict.ts';

const inUse = { field: 'name', message: 'The secret "s" is currently in use' };
const webhook = createSecretWebhook(
  webhookContext({
    secretChecks: { validateDelete: async (secret) => (secret.meta.mesh === 'default' ? [inUse] : []) },
  }),
);
const secret = (type: string, metadata = {}, data: unknown = { value: 'dGVzdA==' }): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type,
  metadata: { name: 's', namespace: 'sys', ...metadata },
  data,
});
const MESH = 'system.kuma.io/secret';
const GLOBAL = 'system.kuma.io/global-secret';
const causes = (verdict: Verdict) =>
  verdict.allowed ? [] : (verdict.status.details?.causes ?? []).map(({ field, message }) => [field, message]);
const labelled = { labels: { 'kuma.io/mesh': 'other' } };

describe('secret webhook', () => {
  it.each([
    ['a mesh Secret', secret(MESH)],
    ['a mesh Secret of a mesh to come', secret(MESH, labelled)],
    ['a global Secret', secret(GLOBAL)],
    ['a Secret of someone else', secret('Opaque', {}, {})],
    ['a Secret elsewhere', secret(MESH, { namespace: 'shop' }, {})],
  ])('passes %s', async (_what, object) => {
    expect(await webhook.handle(admissionRequest(object))).toEqual({ allowed: true });
  });

  it('wants a value', async () => {
    expect(causes(await webhook.handle(admissionRequest(secret(MESH, {}, { other: 'eA==' }))))).toEqual([
      ['data.value', 'cannot be empty.'],
    ]);
    expect(causes(await webhook.handle(admissionRequest(secret(GLOBAL, {}, null))))).toEqual([
      ['data.value', 'cannot be empty.'],
    ]);
  });

  it('refuses a mesh on a global Secret, and another mesh than before', async () => {
    expect(causes(await webhook.handle(admissionRequest(secret(GLOBAL, labelled))))).toEqual([
      ['metadata.labels["kuma.io/mesh"]', 'mesh cannot be set on global secret'],
    ]);
    const update = { operation: 'UPDATE' as const, oldObject: secret(MESH) };
    expect(causes(await webhook.handle(admissionRequest(secret(MESH, labelled), update)))).toEqual([
      [
        'metadata.labels["kuma.io/mesh"]',
        'cannot change mesh of the Secret. Delete the Secret first and apply it again.',
      ],
    ]);
    const same = secret(MESH, { labels: { 'kuma.io/mesh': 'default' } });
    expect(await webhook.handle(admissionRequest(same, update))).toEqual({ allowed: true });
  });

  it('keeps a Secret that a CA stands on, but not from those who tidy up', async () => {
    expect(causes(await webhook.handle(admissionRequest(secret(MESH), { operation: 'DELETE' })))).toEqual([
      ['metadata.name', inUse.message],
    ]);
    const other = admissionRequest(secret(MESH, labelled), { operation: 'DELETE' });
    expect(await webhook.handle(other)).toEqual({ allowed: true });
    const username = 'system:serviceaccount:kube-system:namespace-controller';
    expect(await webhook.handle(admissionRequest(secret(MESH), { operation: 'DELETE', username }))).toEqual({
      allowed: true,
    });
  });

  it('never repeats the value', async () => {
    const verdict = await webhook.handle(
      admissionRequest(secret(GLOBAL, labelled, { value: 'c2VjcmV0', x: 'c2VjcmV0' })),
    );
    expect(JSON.stringify(verdict)).not.toContain('c2VjcmV0');
  });
});
