import { describe, expect, it } from 'vitest';
import { policyKinds } from '../policies/index.ts';
import { checkBody } from './body-checks.ts';
import { parseUniversal } from './convert.ts';
import { coreKinds } from './kinds/index.ts';
import { computeLabels, type LabelContext } from './labels.ts';
import { createRegistry } from './registry.ts';
import type { Resource } from './resource.ts';

const registry = createRegistry([...coreKinds, ...policyKinds]);
const ZONE: LabelContext = { mode: 'zone', federated: false, zone: 'east', environment: 'universal' };
const GLOBAL: LabelContext = { ...ZONE, mode: 'global' };
const kind = (type: string) => registry.byType(type)!;
const body = (object: { type: string }) => parseUniversal(kind(object.type), object);
const labelsOf = (object: { type: string }, context = ZONE) => {
  const resource: Resource = body(object).resource;
  return computeLabels(kind(object.type), resource, context);
};

describe('computeLabels', () => {
  it('says mesh, origin, zone and environment on what a zone makes', () => {
    expect(labelsOf({ type: 'MeshTrafficPermission', mesh: 'm1', name: 'a', spec: {} } as { type: string })).toEqual({
      'kuma.io/env': 'universal',
      'kuma.io/mesh': 'm1',
      'kuma.io/origin': 'zone',
      'kuma.io/zone': 'east',
    });
  });

  it('adds the proxy type of a Dataplane, over what the user says', () => {
    const gateway = {
      type: 'Dataplane',
      mesh: 'm1',
      name: 'a',
      networking: { gateway: { type: 'BUILTIN' } },
      labels: { 'kuma.io/proxy-type': 'x' },
    };
    expect(labelsOf(gateway)['kuma.io/proxy-type']).toBe('gateway');
    expect(labelsOf({ ...gateway, networking: {} } as { type: string })['kuma.io/proxy-type']).toBe('sidecar');
  });

  it('says nothing of a Mesh, which no zone makes, and little of anything on global', () => {
    expect(labelsOf({ type: 'Mesh', name: 'm1' } as { type: string })).toEqual({});
    expect(labelsOf({ type: 'Dataplane', mesh: 'm1', name: 'a' } as { type: string }, GLOBAL)).toEqual({
      'kuma.io/mesh': 'm1',
      'kuma.io/proxy-type': 'sidecar',
    });
  });

  it('keeps what is there: a copy from global stays a copy from global', () => {
    const copy = {
      type: 'MeshTrafficPermission',
      mesh: 'm1',
      name: 'a',
      spec: {},
      labels: { 'kuma.io/origin': 'global', team: 'x' },
    };
    expect(labelsOf(copy)).toEqual({ 'kuma.io/mesh': 'm1', 'kuma.io/origin': 'global', team: 'x' });
  });

  it('changes nothing the second time', () => {
    const resource = body({ type: 'Dataplane', mesh: 'm1', name: 'a' } as { type: string }).resource;
    const labels = computeLabels(kind('Dataplane'), resource, ZONE);
    expect(computeLabels(kind('Dataplane'), { ...resource, meta: { ...resource.meta, labels } }, ZONE)).toEqual(labels);
  });
});

describe('the policy role on Kubernetes', () => {
  const context = { ...ZONE, environment: 'kubernetes', systemNamespace: 'sys' } as const;
  const role = (labels: Record<string, string>) => {
    const policy = { type: 'MeshTrafficPermission', mesh: 'm1', name: 'a', spec: {}, labels };
    return computeLabels(kind('MeshTrafficPermission'), body(policy).resource, context)['kuma.io/policy-role'];
  };

  it.each<[string, Record<string, string>, string | undefined]>([
    ['of an application namespace', { 'k8s.kuma.io/namespace': 'shop' }, 'workload-owner'],
    ['of the system namespace', { 'k8s.kuma.io/namespace': 'sys' }, 'system'],
    [
      'is not what the user says',
      { 'k8s.kuma.io/namespace': 'sys', 'kuma.io/policy-role': 'workload-owner' },
      'system',
    ],
    ['is left out without a namespace', {}, undefined],
    [
      'of a synced copy stays',
      { 'k8s.kuma.io/namespace': 'sys', 'kuma.io/origin': 'global', 'kuma.io/policy-role': 'producer' },
      'producer',
    ],
  ])('%s', (_what, labels, expected) => {
    expect(role(labels)).toBe(expected);
  });
});

describe('checkBody', () => {
  const url = { mesh: 'm1', name: 'a' };
  const check = (object: { type: string; [field: string]: unknown }, context = ZONE) =>
    checkBody(kind('Dataplane'), parseUniversal(kind('Dataplane'), object), url, context);
  const good = { type: 'Dataplane', mesh: 'm1', name: 'a' };

  it('accepts a body that says what the URL says', () => {
    expect(check(good)).toEqual([]);
  });

  it('collects what differs, then labels, then syntax', () => {
    expect(
      check({ type: 'Mesh', mesh: 'M', name: 'B_', labels: { '': 'x', 'kuma.io/zone': 'west', 'kuma.io/mesh': 'm9' } }),
    ).toEqual([
      { field: 'name', message: 'name from the URL has to be the same as in body' },
      { field: 'type', message: 'type from the URL has to be the same as in body' },
      { field: 'mesh', message: 'mesh from the URL has to be the same as in body' },
      { field: 'labels["kuma.io/zone"]', message: 'kuma.io/zone label should have east value' },
      { field: 'labels["kuma.io/mesh"]', message: 'kuma.io/mesh label must not differ from mesh set on resource' },
      { field: 'labels[""]', message: 'name part must be non-empty' },
      { field: 'labels[""]', message: expect.stringMatching(/^name part must consist of alphanumeric characters/) },
      { field: 'name', message: expect.stringMatching(/^invalid characters\. A lowercase RFC 1123 subdomain/) },
      { field: 'mesh', message: expect.stringMatching(/^invalid characters\. Valid characters are numbers/) },
    ]);
  });

  it.each<[string, Record<string, string>, string, RegExp]>([
    ['a key with two slashes', { 'a/b/c': '' }, 'labels["a/b/c"]', /^a qualified name must consist of/],
    ['an empty prefix', { '/a': '' }, 'labels["/a"]', /^prefix part must be non-empty$/],
    ['a prefix in capitals', { 'A/a': '' }, 'labels["A/a"]', /^prefix part a lowercase RFC 1123 subdomain must/],
    [
      'a key of 64 characters',
      { ['a'.repeat(64)]: '' },
      `labels["${'a'.repeat(64)}"]`,
      /^name part must be no more than 63 characters$/,
    ],
    ['a value with a space', { a: 'b c' }, 'labels["a"]', /^a valid label must be an empty string or consist of/],
    ['a value of 64 characters', { a: 'b'.repeat(64) }, 'labels["a"]', /^must be no more than 63 characters$/],
    ['an unknown origin', { 'kuma.io/origin': 'moon' }, 'labels["kuma.io/origin"]', /^unknown resource origin "moon"$/],
  ])('refuses %s', (_what, labels, field, message) => {
    expect(check({ ...good, labels })).toEqual([{ field, message: expect.stringMatching(message) }]);
  });

  it('wants origin zone on policies of a federated zone, and origin global on global', () => {
    const policy = { type: 'MeshTrafficPermission', mesh: 'm1', name: 'a', spec: {} };
    const of = kind('MeshTrafficPermission');
    expect(checkBody(of, parseUniversal(of, policy), url, { ...ZONE, federated: true })).toEqual([
      { field: 'labels["kuma.io/origin"]', message: "the origin label must be set to 'zone'" },
    ]);
    const zoned = parseUniversal(of, { ...policy, labels: { 'kuma.io/origin': 'zone' } });
    expect(checkBody(of, zoned, url, { ...ZONE, federated: true })).toEqual([]);
    expect(checkBody(of, zoned, url, GLOBAL)).toEqual([
      { field: 'labels["kuma.io/origin"]', message: "the origin label must be set to 'global'" },
    ]);
  });

  it.each([
    ['', 'cannot be empty'],
    ['a'.repeat(254), 'value length must less or equal 253'],
    ['two..dots', /^invalid characters/],
    ['under_score', /^invalid characters/],
  ])('refuses the name %j', (name, message) => {
    const found = checkBody(
      kind('Dataplane'),
      parseUniversal(kind('Dataplane'), { ...good, name }),
      { ...url, name },
      ZONE,
    );
    expect(found).toEqual([
      { field: 'name', message: typeof message === 'string' ? message : expect.stringMatching(message) },
    ]);
  });
});
