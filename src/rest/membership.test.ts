import { describe, expect, it } from 'vitest';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec, TagRule } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import { membershipRefusal } from './membership.ts';

function mesh(requirements: readonly TagRule[], restrictions: readonly TagRule[] = []): Resource<MeshSpec> {
  return {
    type: 'Mesh',
    meta: { mesh: '', name: 'default', labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: { constraints: { dataplaneProxy: { requirements, restrictions } } },
  };
}

const sidecar = (...tags: Record<string, string>[]): DataplaneSpec => ({
  networking: { address: '10.0.0.1', inbound: tags.map((one, index) => ({ port: 80 + index, tags: one })) },
});
const gateway = (tags: Record<string, string>): DataplaneSpec => ({
  networking: { address: '10.0.0.1', gateway: { tags } },
});

describe('membershipRefusal', () => {
  it('lets everyone in without constraints', () => {
    expect(membershipRefusal(mesh([]), sidecar({ a: '1' }))).toBeUndefined();
  });

  it('asks every tag set for one requirement', () => {
    const wanted = mesh([{ tags: { team: 'red' } }, { tags: { team: 'blue', zone: '*' } }]);
    expect(membershipRefusal(wanted, sidecar({ team: 'red' }))).toBeUndefined();
    expect(membershipRefusal(wanted, sidecar({ team: 'blue', zone: 'east' }))).toBeUndefined();
    expect(membershipRefusal(wanted, sidecar({ team: 'blue' }))).toMatch(/does not fulfill any requirements/);
    expect(membershipRefusal(wanted, sidecar({ team: 'blue', zone: '' }))).toMatch(/does not fulfill any/);
    expect(membershipRefusal(wanted, sidecar({ team: 'red' }, { team: 'green' }))).toBe(
      'dataplane cannot be a member of mesh "default" because its tags "team=green" does not fulfill any requirements defined on the Mesh',
    );
    expect(membershipRefusal(wanted, gateway({ team: 'green' }))).toBeDefined();
  });

  it('refuses restricted tags', () => {
    const denied = mesh([], [{ tags: { legacy: '*' } }]);
    expect(membershipRefusal(denied, sidecar({ a: '1' }))).toBeUndefined();
    expect(membershipRefusal(denied, sidecar({ legacy: 'yes' }))).toBe(
      'dataplane cannot be a member of mesh "default" because its tags "legacy=yes" matches restricted tags "legacy=*" defined on the Mesh',
    );
  });

  it('does not take members of Object for tags', () => {
    expect(membershipRefusal(mesh([{ tags: { constructor: '*' } }]), sidecar({ a: '1' }))).toBeDefined();
  });
});
