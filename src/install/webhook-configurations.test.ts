import { describe, expect, it } from 'vitest';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import { type WebhookConfigurationOptions, webhookConfigurations } from './webhook-configurations.ts';

const options: WebhookConfigurationOptions = {
  namespace: 'sys',
  target: { service: 'weft-control-plane' },
  kinds: [...coreKinds, ...policyKinds],
};
const webhook = (name: string, given: Partial<WebhookConfigurationOptions> = {}) => {
  const all = webhookConfigurations({ ...options, ...given }).flatMap((configuration) => configuration.webhooks);
  return all.find((one) => one.name === `${name}.weft-admission.kuma.io`)!;
};

describe('webhookConfigurations', () => {
  it('makes both configurations, each webhook without side effects in a dry run and with a deadline', () => {
    const made = webhookConfigurations(options);
    expect(made.map(({ kind, metadata }) => [kind, metadata.name])).toEqual([
      ['MutatingWebhookConfiguration', 'weft-admission-mutating'],
      ['ValidatingWebhookConfiguration', 'weft-admission-validating'],
    ]);
    for (const one of made.flatMap(({ webhooks }) => webhooks)) {
      expect(one).toMatchObject({
        admissionReviewVersions: ['v1'],
        sideEffects: expect.stringMatching(/^None(OnDryRun)?$/),
        matchPolicy: 'Equivalent',
        timeoutSeconds: 10,
      });
      expect(one.clientConfig).not.toHaveProperty('caBundle');
    }
  });

  it('asks about Pods only where injection is wanted, and each Pod once', () => {
    const elsewhere = { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'sys'] };
    const label = 'kuma.io/sidecar-injection';
    expect(webhook('namespace-injector')).toMatchObject({
      failurePolicy: 'Fail',
      namespaceSelector: {
        matchExpressions: [{ key: label, operator: 'In', values: ['enabled', 'true'] }, elsewhere],
      },
      objectSelector: { matchExpressions: [{ key: label, operator: 'NotIn', values: ['disabled', 'false'] }] },
    });
    expect(webhook('pod-injector', { injectorFailurePolicy: 'Ignore' })).toMatchObject({
      failurePolicy: 'Ignore',
      namespaceSelector: {
        matchExpressions: [{ key: label, operator: 'NotIn', values: ['enabled', 'true'] }, elsewhere],
      },
      objectSelector: { matchExpressions: [{ key: label, operator: 'In', values: ['enabled', 'true'] }] },
    });
  });

  it('checks what people write, and deletions of a Mesh only', () => {
    expect(webhook('validator').rules).toMatchObject([
      {
        operations: ['CREATE', 'UPDATE'],
        resources: ['containerpatches', 'dataplanes', 'meshes', 'meshtrafficpermissions', 'zones'],
      },
      { operations: ['DELETE'], resources: ['meshes'] },
    ]);
    expect(JSON.stringify(webhook('validator').rules)).not.toMatch(/insights|secrets|configs|sealedleaves/);
  });

  it('gives the Mesh what is of it, but for what a Pod or a proxy owns', () => {
    expect(webhook('owner-reference').rules).toMatchObject([
      { operations: ['CREATE'], resources: expect.arrayContaining(['meshtrafficpermissions', 'serviceinsights']) },
    ]);
    expect(JSON.stringify(webhook('owner-reference').rules)).not.toMatch(/dataplane|"meshes"|sealedleaves/);
  });

  it('never sends a Secret that is not ours, nor what the control plane writes itself', () => {
    expect(webhook('secret.validator', { serviceAccount: 'cp' })).toMatchObject({
      failurePolicy: 'Ignore',
      matchConditions: [
        { expression: expect.stringContaining("'system.kuma.io/secret', 'system.kuma.io/global-secret'") },
        { expression: "request.userInfo.username != 'system:serviceaccount:sys:cp'" },
      ],
    });
  });

  it('points to a URL with a bundle when it is told to', () => {
    const given = { target: { url: 'https://127.0.0.1:1/' }, caBundle: 'PEM' };
    expect(webhook('validator', given).clientConfig).toEqual({
      url: 'https://127.0.0.1:1/validate-kuma-io-v1alpha1',
      caBundle: 'UEVN',
    });
  });

  it('looks at the allowed namespaces only', () => {
    const given = { namespaceAllowList: ['shop'] };
    expect(webhook('defaults', given).namespaceSelector?.matchExpressions).toEqual([
      { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['shop', 'sys'] },
    ]);
    expect(webhook('pod-injector', given).namespaceSelector?.matchExpressions).toContainEqual({
      key: 'kubernetes.io/metadata.name',
      operator: 'In',
      values: ['shop'],
    });
  });
});
