import { describe, expect, it } from 'vitest';
import { admissionRequest, type KubernetesObject, webhookContext } from '../../testing/admission.ts';
import { createValidateWebhook } from './validate-resource.ts';
import type { Verdict } from './verdict.ts';

const webhook = createValidateWebhook(webhookContext());
const mesh = (spec: unknown = {}, metadata = {}): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'Mesh',
  metadata: { name: 'm', ...metadata },
  spec,
});
const policy = (spec: unknown, metadata = {}): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'MeshTrafficPermission',
  metadata: { name: 'p', namespace: 'shop', ...metadata },
  spec,
});
const dataplane = (tags: Record<string, string>): KubernetesObject => ({
  apiVersion: 'kuma.io/v1alpha1',
  kind: 'Dataplane',
  metadata: { name: 'web', namespace: 'shop', labels: { 'kuma.io/mesh': 'default' } },
  spec: { networking: { address: '10.0.0.1', inbound: [{ port: 80, tags }] } },
});
const open = { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] };
const causes = (verdict: Verdict) =>
  verdict.allowed ? [] : (verdict.status.details?.causes ?? []).map(({ field, message }) => [field, message]);

describe('validating webhook', () => {
  it('passes what is right', async () => {
    expect(await webhook.handle(admissionRequest(mesh()))).toEqual({ allowed: true, warnings: [] });
    expect(await webhook.handle(admissionRequest(policy(open)))).toEqual({ allowed: true, warnings: [] });
    expect(await webhook.handle(admissionRequest(dataplane({ 'kuma.io/service': 'web' })))).toMatchObject({
      allowed: true,
    });
  });

  it('names every field of a Mesh below spec., as one Status 422', async () => {
    const spec = {
      mtls: {
        enabledBackend: 'ca-2',
        backends: [{ name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration: '1h30m' } } }],
      },
      routing: { zoneEgress: true },
    };
    expect(await webhook.handle(admissionRequest(mesh(spec, { labels: { 'kuma.io/origin': 'moon' } })))).toEqual({
      allowed: false,
      status: {
        status: 'Failure',
        code: 422,
        reason: 'Invalid',
        message: [
          'spec.mtls.enabledBackend: has to be set to one of the backends in the mesh',
          'spec.mtls.dpcert.rotation.expiration: has to be a valid format',
          'metadata.labels["kuma.io/origin"]: unknown resource origin "moon"',
        ].join('; '),
        details: {
          name: 'm',
          kind: 'Mesh',
          causes: [
            {
              reason: 'FieldValueInvalid',
              field: 'spec.mtls.enabledBackend',
              message: 'has to be set to one of the backends in the mesh',
            },
            {
              reason: 'FieldValueInvalid',
              field: 'spec.mtls.dpcert.rotation.expiration',
              message: 'has to be a valid format',
            },
            {
              reason: 'FieldValueInvalid',
              field: 'metadata.labels["kuma.io/origin"]',
              message: 'unknown resource origin "moon"',
            },
          ],
        },
      },
    });
  });

  it('keeps the spec. of new-model kinds, from the schema and from the checks', async () => {
    expect(causes(await webhook.handle(admissionRequest(policy({ from: 1 }))))).toEqual([
      ['spec.from', 'in body must be of type array: "number"'],
    ]);
    const noAction = { from: [{ targetRef: { kind: 'Mesh' }, default: {} }] };
    expect(causes(await webhook.handle(admissionRequest(policy(noAction))))).toEqual([
      ['spec.from[0].default.action', 'must be defined'],
    ]);
  });

  it('asks the life cycle with the old Mesh, and prefixes what it says', async () => {
    const old = mesh({ mtls: { enabledBackend: 'a', backends: [{ name: 'a', type: 'builtin' }] } });
    const changed = mesh({ mtls: { enabledBackend: 'b', backends: [{ name: 'b', type: 'builtin' }] } });
    const asked: unknown[] = [];
    const strict = createValidateWebhook(
      webhookContext({
        meshChecks: {
          validate: async (given, previous) => {
            asked.push([given.spec.mtls?.enabledBackend, previous?.spec.mtls?.enabledBackend]);
            return [
              { field: 'mtls.enabledBackend', message: 'cannot switch' },
              { field: 'name', message: 'too long' },
            ];
          },
          rehearse: async () => expect.fail('what is refused already is not tried'),
          validateDelete: async () => [{ field: 'mesh', message: 'in use' }],
        },
      }),
    );
    const update = { operation: 'UPDATE' as const, oldObject: old };
    expect(causes(await strict.handle(admissionRequest(changed, update)))).toEqual([
      ['spec.mtls.enabledBackend', 'cannot switch'],
      ['metadata.name', 'too long'],
    ]);
    expect(asked).toEqual([['b', 'a']]);
    // Labels can be set whatever the CA says.
    const labelled = mesh(old['spec'], { labels: { team: 'a' } });
    expect(await strict.handle(admissionRequest(labelled, update))).toMatchObject({ allowed: true });
    expect(causes(await strict.handle(admissionRequest(old, { operation: 'DELETE' })))).toEqual([['mesh', 'in use']]);
    const collector = {
      operation: 'DELETE' as const,
      username: 'system:serviceaccount:kube-system:generic-garbage-collector',
    };
    expect(await strict.handle(admissionRequest(old, collector))).toEqual({ allowed: true });
  });

  it('has the CAs of a Mesh tried last, and not in a dry run', async () => {
    const problem = { field: 'mtls.backends[0].conf', message: 'no answer' };
    const meshChecks = { validate: async () => [], rehearse: async () => [problem], validateDelete: async () => [] };
    const strict = createValidateWebhook(webhookContext({ meshChecks }));
    const made = mesh({ mtls: { enabledBackend: 'a', backends: [{ name: 'a', type: 'builtin' }] } });
    expect(causes(await strict.handle(admissionRequest(made)))).toEqual([['spec.mtls.backends[0].conf', 'no answer']]);
    expect(await strict.handle(admissionRequest(made, { dryRun: true }))).toMatchObject({ allowed: true });
    expect(await strict.handle(admissionRequest(policy(open)))).toMatchObject({ allowed: true });
  });

  it('wants the mesh to be there, and the same as before', async () => {
    const elsewhere = policy(open, { labels: { 'kuma.io/mesh': 'none' } });
    expect(causes(await webhook.handle(admissionRequest(elsewhere)))).toEqual([
      ['mesh', 'mesh of name none is not found'],
    ]);
    expect(
      causes(await webhook.handle(admissionRequest(elsewhere, { operation: 'UPDATE', oldObject: policy(open) }))),
    ).toEqual([
      [
        'metadata.labels["kuma.io/mesh"]',
        'cannot change mesh of the MeshTrafficPermission. Delete the MeshTrafficPermission first and apply it again.',
      ],
    ]);
  });

  it("holds a Dataplane to its mesh's constraints, zone tag included", async () => {
    const constrained = createValidateWebhook(
      webhookContext({
        meshSpec: { constraints: { dataplaneProxy: { restrictions: [{ tags: { 'kuma.io/zone': 'east' } }] } } },
      }),
    );
    expect(causes(await constrained.handle(admissionRequest(dataplane({ 'kuma.io/service': 'web' }))))).toEqual([
      ['spec.networking', expect.stringContaining('matches restricted tags "kuma.io/zone=east"')],
    ]);
  });

  it('does not let a label name another namespace, and takes long names', async () => {
    const foreign = policy(open, { labels: { 'k8s.kuma.io/namespace': 'bank' } });
    expect(causes(await webhook.handle(admissionRequest(foreign)))).toEqual([
      ['metadata.labels["k8s.kuma.io/namespace"]', 'must be the namespace of the object: shop'],
    ]);
    expect(await webhook.handle(admissionRequest(policy(open, { name: 'a'.repeat(200) })))).toMatchObject({
      allowed: true,
    });
  });

  it('warns of what is deprecated', async () => {
    expect(await webhook.handle(admissionRequest(mesh({}, { name: '1-mesh' })))).toEqual({
      allowed: true,
      warnings: [expect.stringContaining("Invalid Mesh resource name: '1-mesh'")],
    });
  });

  it('does not hold up an object that is being deleted', async () => {
    const going = mesh({ mtls: { enabledBackend: 'none' } }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(await webhook.handle(admissionRequest(going, { operation: 'UPDATE', oldObject: going }))).toEqual({
      allowed: true,
    });
  });

  it('takes policies only in the system namespace on global', async () => {
    const global = createValidateWebhook(webhookContext({ global: true }));
    expect(await global.handle(admissionRequest(policy(open)))).toMatchObject({
      status: { code: 403, message: 'on Global CP the policy can be created only in the system namespace:sys' },
    });
    expect(await global.handle(admissionRequest(policy(open, { namespace: 'sys' })))).toMatchObject({ allowed: true });
  });

  it('answers 400 for what is no object of its kind', async () => {
    expect(await webhook.handle(admissionRequest(mesh({ mtls: 1 })))).toMatchObject({
      allowed: false,
      status: { code: 400, reason: 'BadRequest', message: expect.stringMatching(/^invalid Mesh object: /) },
    });
  });

  it('has no opinion on status updates and on kinds of others', async () => {
    const broken = policy({ from: 1 });
    expect(await webhook.handle(admissionRequest(broken, { subResource: 'status' }))).toEqual({ allowed: true });
    expect(await webhook.handle(admissionRequest({ ...broken, apiVersion: 'v1' }))).toEqual({ allowed: true });
  });
});
