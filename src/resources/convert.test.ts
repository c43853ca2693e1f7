import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { policyKinds } from '../policies/index.ts';
import {
  parseResource,
  parseResources,
  parseUniversal,
  ResourceParseError,
  toKubernetes,
  toUniversal,
} from './convert.ts';
import { coreKinds } from './kinds/index.ts';
import { createRegistry } from './registry.ts';
import type { Resource } from './resource.ts';

const registry = createRegistry([...coreKinds, ...policyKinds]);
const options = { systemNamespace: 'kuma-system' };
const kind = (type: string) => registry.byType(type)!;
const parse = (object: unknown) => parseResource(registry, object, options);
const written = (resource: Resource): Resource => ({
  ...resource,
  meta: { ...resource.meta, creationTime: '2026-01-02T03:04:05Z', modificationTime: '2026-01-02T03:04:06Z' },
});

const PERMISSION = {
  type: 'MeshTrafficPermission',
  mesh: 'm1',
  name: 'allow-web',
  labels: { 'kuma.io/zone': 'east' },
  spec: {
    from: [{ targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'web' } }, default: { action: 'Allow' } }],
  },
};

describe('the Universal form', () => {
  it('prints an old-model kind inline, keys in the order of the contract', () => {
    const mesh = written(parse({ type: 'Mesh', name: 'm1', mtls: { enabledBackend: 'ca', skipValidation: false } }));
    expect(JSON.stringify(toUniversal(kind('Mesh'), mesh))).toBe(
      '{"type":"Mesh","name":"m1","creationTime":"2026-01-02T03:04:05Z","modificationTime":"2026-01-02T03:04:06Z","kri":"kri_m____m1_","mtls":{"enabledBackend":"ca"}}',
    );
  });

  it('prints a new-model kind under spec, with labels and kri', () => {
    expect(JSON.stringify(toUniversal(kind('MeshTrafficPermission'), written(parse(PERMISSION))))).toBe(
      '{"type":"MeshTrafficPermission","mesh":"m1","name":"allow-web","creationTime":"2026-01-02T03:04:05Z","modificationTime":"2026-01-02T03:04:06Z",' +
        '"labels":{"kuma.io/zone":"east"},"kri":"kri_mtp_m1_east__allow-web_",' +
        '"spec":{"from":[{"targetRef":{"kind":"MeshSubset","tags":{"kuma.io/service":"web"}},"default":{"action":"Allow"}}]}}',
    );
  });

  it('prints no kri for a kind without a short name', () => {
    const secret = parse({ type: 'Secret', mesh: 'm1', name: 's', data: 'YQ==' });
    expect(toUniversal(kind('Secret'), secret)).toEqual({ type: 'Secret', mesh: 'm1', name: 's', data: 'YQ==' });
  });

  it('reads what it printed', () => {
    const resource = parse(PERMISSION);
    expect(parse(toUniversal(kind('MeshTrafficPermission'), written(resource)))).toEqual(resource);
  });

  it('keeps the type a body claims, for the check against the URL', () => {
    expect(parseUniversal(kind('Mesh'), { type: 'Zone', name: 'x' }).type).toBe('Zone');
    expect(parseUniversal(kind('Mesh'), { name: 'x' }).type).toBe('');
  });
});

describe('the Kubernetes form', () => {
  it('puts a Dataplane below mesh and spec, in its namespace', () => {
    const object = {
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'Dataplane',
      mesh: 'm1',
      metadata: { name: 'web', namespace: 'shop', labels: { a: 'b' } },
      spec: { networking: { address: '10.0.0.1' } },
    };
    const resource = parse(object);
    expect(resource.meta).toMatchObject({
      mesh: 'm1',
      name: 'web.shop',
      labels: { a: 'b', 'k8s.kuma.io/namespace': 'shop', 'kuma.io/display-name': 'web' },
    });
    expect(toKubernetes(kind('Dataplane'), resource, options)).toEqual(object);
  });

  it('takes the mesh of a policy from its label, and default without one', () => {
    const policy = {
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'MeshTrafficPermission',
      metadata: { name: 'a', namespace: 'kuma-system' },
      spec: {},
    };
    expect(parse(policy).meta).toMatchObject({ mesh: 'default', name: 'a' });
    const labelled = { ...policy, metadata: { ...policy.metadata, labels: { 'kuma.io/mesh': 'm2' } } };
    expect(parse(labelled).meta.mesh).toBe('m2');
  });

  it('carries secrets in v1 Secrets', () => {
    const secret = parse({ type: 'Secret', mesh: 'm1', name: 's', data: 'YQ==' });
    const object = toKubernetes(kind('Secret'), secret, options);
    expect(object).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'kuma-system', labels: { 'kuma.io/mesh': 'm1' } },
      type: 'system.kuma.io/secret',
      data: { value: 'YQ==' },
    });
    expect(parse(object).spec).toEqual({ data: 'YQ==' });
    const global = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'system.kuma.io/global-secret',
      metadata: { name: 'g' },
      stringData: { value: 'a' },
    };
    expect(parse(global)).toMatchObject({ type: 'GlobalSecret', meta: { mesh: '' }, spec: { data: 'YQ==' } });
  });

  it('keeps cluster-scoped kinds without a namespace', () => {
    expect(toKubernetes(kind('Mesh'), parse({ type: 'Mesh', name: 'm1', mtls: {} }), options)).toEqual({
      apiVersion: 'kuma.io/v1alpha1',
      kind: 'Mesh',
      metadata: { name: 'm1' },
      spec: { mtls: {} },
    });
  });

  it('reads a List as its items', () => {
    const mesh = { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', metadata: { name: 'm1' } };
    expect(parseResources(registry, [{ apiVersion: 'v1', kind: 'List', items: [mesh, mesh] }], options)).toHaveLength(
      2,
    );
  });

  it('gives back the same resource, whatever it was', () => {
    const label = fc.stringMatching(/^[a-z]{1,8}$/);
    const universal = fc.record({
      type: fc.constantFrom('Mesh', 'Dataplane', 'Zone', 'Secret', 'MeshTrafficPermission'),
      mesh: label,
      name: fc.stringMatching(/^[a-z][a-z.-]{0,10}[a-z]$/),
      labels: fc.dictionary(label, label),
    });
    fc.assert(
      fc.property(universal, (object) => {
        const resource = parse({
          ...object,
          spec: PERMISSION.spec,
          data: 'YQ==',
          networking: { address: '1.1.1.1' },
          enabled: false,
        });
        const back = parse(toKubernetes(kind(object.type), resource, options));
        const { 'kuma.io/mesh': _mesh, ...labels } = back.meta.labels;
        expect({ ...back, meta: { ...back.meta, labels } }).toEqual(resource);
        expect(parse(toUniversal(kind(object.type), resource))).toEqual(resource);
      }),
    );
  });
});

describe('what is no resource', () => {
  it.each<[string, unknown, string, RegExp]>([
    ['text', 'Mesh', 'malformed', /expected an object/],
    ['a list', [], 'malformed', /expected an object/],
    ['no type', { name: 'a' }, 'malformed', /"type" is missing/],
    ['an unknown type', { type: 'Nope', name: 'a' }, 'unknown-type', /no kind is called "Nope"/],
    ['an internal type', { type: 'SealedLeaf', mesh: 'a', name: 'a' }, 'unknown-type', /no kind is called/],
    ['a foreign apiVersion', { apiVersion: 'apps/v1', kind: 'Deployment' }, 'unknown-type', /is not served/],
    ['a foreign Secret', { apiVersion: 'v1', kind: 'Secret', type: 'Opaque' }, 'unknown-type', /none of ours/],
    [
      'a name that is a number',
      { type: 'Mesh', name: 5 },
      'malformed',
      /^invalid Mesh object: "name: expected a string, got number"$/,
    ],
    ['labels that are no text', { type: 'Mesh', name: 'a', labels: { a: 1 } }, 'malformed', /^invalid Mesh object: /],
    [
      'a field of the wrong type',
      { type: 'Mesh', name: 'a', mtls: [] },
      'malformed',
      /^invalid Mesh object: "mtls: expected an object, got a list"$/,
    ],
    ['__proto__', JSON.parse('{"type":"Mesh","name":"a","mtls":{"__proto__":{}}}'), 'malformed', /__proto__/],
  ])('refuses %s', (_what, object, code, message) => {
    const error = failure(() => parse(object));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('never repeats the value of a secret', () => {
    const error = failure(() => parse({ type: 'Secret', mesh: 'm', name: 's', data: { hunter2: 'hunter2' } }));
    expect(error.message).not.toContain('hunter2');
    expect(failure(() => parse({ type: 'Secret', mesh: 'm', name: 's', data: 'hunter2' })).message).not.toContain(
      'hunter2',
    );
  });

  it('reports every schema violation of a new-model kind in the texts of kube-openapi', () => {
    const error = failure(() =>
      parse({
        type: 'MeshTrafficPermission',
        mesh: 'm',
        name: 'a',
        spec: {
          targetRef: { kind: 'Mesh', name: 5, extra: 1 },
          from: [{ default: { action: 'Perhaps' } }, { targetRef: { kind: 'Nope' } }, 4],
          rules: 'all',
        },
      }),
    );
    expect(error.code).toBe('invalid');
    expect(error.violations).toEqual([
      { field: 'spec.targetRef.name', message: 'in body must be of type string: "number"' },
      { field: 'spec.targetRef.extra', message: 'in body is a forbidden property' },
      { field: 'spec.from[0].targetRef', message: 'in body is required' },
      { field: 'spec.from[0].default.action', message: 'in body should be one of [Allow Deny AllowWithShadowDeny]' },
      {
        field: 'spec.from[1].targetRef.kind',
        message: expect.stringMatching(/^in body should be one of \[Mesh .*Dataplane\]$/),
      },
      { field: 'spec.from[2]', message: 'in body must be of type object: "number"' },
      { field: 'spec.rules', message: 'in body must be of type array: "string"' },
    ]);
  });

  it('reports what is wrong above spec of a new-model body without a field', () => {
    const { spec: _spec, ...bare } = PERMISSION;
    expect(failure(() => parse(bare)).violations).toEqual([{ field: '', message: '.spec in body is required' }]);
    expect(failure(() => parse({ ...PERMISSION, name: 5 })).violations).toEqual([
      { field: '', message: 'name in body must be of type string: "number"' },
    ]);
    const error = failure(() => parseUniversal(kind('MeshTrafficPermission'), { ...PERMISSION, type: 'MeshTimeout' }));
    expect(error.violations).toEqual([{ field: '', message: 'type in body should be one of [MeshTrafficPermission]' }]);
  });

  it('is answered with a typed error or a resource for any JSON', () => {
    const near = fc.record(
      {
        type: fc.constantFrom('Mesh', 'Dataplane', 'Secret', 'MeshTrafficPermission', 'Zone', 'DataplaneInsight'),
        apiVersion: fc.option(fc.constantFrom('kuma.io/v1alpha1', 'v1', ''), { nil: undefined }),
        kind: fc.constantFrom('Mesh', 'Secret', 'Dataplane', 'MeshTrafficPermission'),
        name: fc.jsonValue({ maxDepth: 1 }),
        mesh: fc.jsonValue({ maxDepth: 1 }),
        labels: fc.jsonValue({ maxDepth: 2 }),
        metadata: fc.jsonValue({ maxDepth: 3 }),
        spec: fc.jsonValue({ maxDepth: 4 }),
        mtls: fc.jsonValue({ maxDepth: 4 }),
        networking: fc.jsonValue({ maxDepth: 4 }),
        data: fc.jsonValue({ maxDepth: 1 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(near, fc.jsonValue(), fc.anything()), (object) => {
        let resource: Resource;
        try {
          resource = parse(object);
        } catch (error) {
          expect(error).toBeInstanceOf(ResourceParseError);
          return;
        }
        const of = kind(resource.type);
        expect(Array.isArray(of.validate(resource.spec, resource))).toBe(true);
        of.applyDefaults?.(resource.spec);
        toUniversal(of, resource);
        toKubernetes(of, resource, options);
      }),
      { numRuns: 1000 },
    );
  });

  it('does not exhaust the stack on deep input', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`);
    expect(failure(() => parse({ type: 'Mesh', name: 'a', mtls: { backends: [{ conf: deep }] } })).message).toMatch(
      /nested deeper/,
    );
  });
});

function failure(run: () => unknown): ResourceParseError {
  try {
    run();
  } catch (error) {
    if (error instanceof ResourceParseError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
