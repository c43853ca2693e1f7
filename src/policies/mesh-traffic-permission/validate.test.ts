import { describe, expect, it } from 'vitest';
import type { MeshTrafficPermissionSpec } from './schema.ts';
import { validate, warnings } from './validate.ts';

const allow = { action: 'Allow' as const };
const withTop = (targetRef: MeshTrafficPermissionSpec['targetRef']): MeshTrafficPermissionSpec => ({
  targetRef,
  from: [{ targetRef: { kind: 'Mesh' }, default: allow }],
});
const withFrom = (
  targetRef: NonNullable<MeshTrafficPermissionSpec['from']>[number]['targetRef'],
): MeshTrafficPermissionSpec => ({
  from: [{ targetRef, default: allow }],
});
const withSpiffe = (value: string): MeshTrafficPermissionSpec => ({
  rules: [{ default: { deny: [{ spiffeID: { type: 'Exact', value } }] } }],
});

describe('MeshTrafficPermission validation', () => {
  it.each<[string, MeshTrafficPermissionSpec]>([
    ['from Mesh', withTop({ kind: 'Mesh' })],
    ['a Dataplane section', withTop({ kind: 'Dataplane', labels: { app: 'x' }, sectionName: 'http' })],
    ['a subset for gateways', withTop({ kind: 'MeshSubset', tags: { a: 'b' }, proxyTypes: ['Gateway'] })],
    ['a service subset', withFrom({ kind: 'MeshServiceSubset', name: 'web', tags: { v: '*' } })],
    ['rules', withSpiffe('spiffe://default/web')],
    ['a SPIFFE ID with a path', withSpiffe('spiffe://my.domain-1/ns/a_b/sa/C.d')],
  ])('accepts %s', (_what, spec) => {
    expect(validate(spec)).toEqual([]);
  });

  it.each<[string, MeshTrafficPermissionSpec, string, string | RegExp]>([
    ['nothing', {}, 'spec.from', 'needs at least one item'],
    [
      'from and rules',
      { ...withTop(undefined), ...withSpiffe('spiffe://a/b') },
      'spec',
      "field 'from' must be empty when 'rules' is defined",
    ],
    [
      'an unsupported top kind',
      withTop({ kind: 'MeshGateway', name: 'x' }),
      'spec.targetRef.kind',
      'value is not supported',
    ],
    [
      'an unsupported client kind',
      withFrom({ kind: 'Dataplane' }),
      'spec.from[0].targetRef.kind',
      'value is not supported',
    ],
    [
      'a name of Mesh',
      withTop({ kind: 'Mesh', name: 'x' }),
      'spec.targetRef.name',
      'using name with kind Mesh is not yet supported',
    ],
    [
      'tags of Mesh',
      withTop({ kind: 'Mesh', tags: { a: 'b' } }),
      'spec.targetRef.tags',
      'must not be set with kind Mesh',
    ],
    [
      'a section of Mesh',
      withTop({ kind: 'Mesh', sectionName: 'a' }),
      'spec.targetRef.sectionName',
      'must not be set with kind Mesh',
    ],
    [
      'empty proxyTypes',
      withTop({ kind: 'Mesh', proxyTypes: [] }),
      'spec.targetRef.proxyTypes',
      'must be undefined or have at least one element',
    ],
    [
      'a bad tag of a subset',
      withTop({ kind: 'MeshSubset', tags: { a: 'b/c' } }),
      'spec.targetRef.tags["a"]',
      /^tag value must consist of/,
    ],
    [
      'a service without a name',
      withTop({ kind: 'MeshService' }),
      'spec.targetRef.name',
      'must be set with kind MeshService',
    ],
    [
      'a service with a bad name',
      withTop({ kind: 'MeshService', name: 'A' }),
      'spec.targetRef.name',
      /^invalid characters/,
    ],
    [
      'name and labels of a Dataplane',
      withTop({ kind: 'Dataplane', name: 'a', labels: { a: 'b' } }),
      'spec.targetRef.labels',
      'either labels or name and namespace must be specified',
    ],
    [
      'proxyTypes of a Dataplane',
      withTop({ kind: 'Dataplane', proxyTypes: ['Sidecar'] }),
      'spec.targetRef.proxyTypes',
      'must not be set with kind Dataplane',
    ],
    [
      'an item without an action',
      { from: [{ targetRef: { kind: 'Mesh' } }] },
      'spec.from[0].default.action',
      'must be defined',
    ],
    [
      'a rule without entries',
      { rules: [{ default: { allow: [] } }] },
      'spec.rules[0]',
      "at least one of 'allow', 'allowWithShadowDeny', 'deny' has to be defined",
    ],
    [
      'a match without a condition',
      { rules: [{ default: { allow: [{}] } }] },
      'spec.rules[0].allow[0].spiffeID',
      'must be defined',
    ],
    [
      'an empty SPIFFE ID',
      withSpiffe(''),
      'spec.rules[0].deny[0].spiffeID',
      'must be a valid Spiffe ID: cannot be empty',
    ],
    ['another scheme', withSpiffe('https://a/b'), 'spec.rules[0].deny[0].spiffeID', /scheme is missing or invalid$/],
    ['no trust domain', withSpiffe('spiffe:///b'), 'spec.rules[0].deny[0].spiffeID', /trust domain is missing$/],
    [
      'a trust domain in capitals',
      withSpiffe('spiffe://A/b'),
      'spec.rules[0].deny[0].spiffeID',
      /trust domain characters/,
    ],
    ['a trailing slash', withSpiffe('spiffe://a/b/'), 'spec.rules[0].deny[0].spiffeID', /trailing slash$/],
    ['an empty segment', withSpiffe('spiffe://a//b'), 'spec.rules[0].deny[0].spiffeID', /empty segments$/],
    ['a dot segment', withSpiffe('spiffe://a/../b'), 'spec.rules[0].deny[0].spiffeID', /dot segments$/],
    ['a query', withSpiffe('spiffe://a/b?c'), 'spec.rules[0].deny[0].spiffeID', /path segment characters/],
  ])('refuses %s', (_what, spec, field, message) => {
    expect(validate(spec)).toEqual([
      { field, message: typeof message === 'string' ? message : expect.stringMatching(message) },
    ]);
  });

  it('warns of kinds that will go', () => {
    expect(
      warnings({ targetRef: { kind: 'MeshService', name: 'a' }, ...withFrom({ kind: 'MeshService', name: 'b' }) }),
    ).toEqual([
      "MeshService value for 'targetRef.kind' is deprecated, use Dataplane with labels instead",
      "MeshService value for 'from[].targetRef.kind' is deprecated, use MeshSubset with 'kuma.io/service' instead",
    ]);
    expect(warnings(withTop({ kind: 'Dataplane' }))).toEqual([]);
  });
});
