import { describe, expect, it } from 'vitest';
import { membershipProblem } from './membership.ts';

const dataplane = (...tags: Record<string, string>[]) => ({
  networking: { inbound: tags.map((one) => ({ port: 80, tags: one })) },
});
const mesh = (dataplaneProxy: object) => ({ constraints: { dataplaneProxy } });
const web = { 'kuma.io/service': 'web', team: 'a' };

describe('membershipProblem', () => {
  it('lets everyone in without constraints', () => {
    expect(membershipProblem('m', {}, dataplane(web))).toBeUndefined();
  });

  it('wants one requirement met, by every inbound', () => {
    const spec = mesh({ requirements: [{ tags: { team: 'b' } }, { tags: { team: '*', 'kuma.io/service': 'web' } }] });
    expect(membershipProblem('m', spec, dataplane(web))).toBeUndefined();
    expect(membershipProblem('m', spec, dataplane(web, { 'kuma.io/service': 'api' }))).toBe(
      'dataplane cannot be a member of mesh "m" because its tags "kuma.io/service=api" does not fulfill any requirements defined on the Mesh',
    );
  });

  it('refuses what a restriction names', () => {
    const spec = mesh({ restrictions: [{ tags: { team: 'a', 'kuma.io/service': '*' } }] });
    expect(membershipProblem('m', spec, dataplane(web))).toBe(
      'dataplane cannot be a member of mesh "m" because its tags "kuma.io/service=web team=a" matches restricted tags "kuma.io/service=* team=a" defined on the Mesh',
    );
    expect(membershipProblem('m', spec, dataplane({ team: 'b' }))).toBeUndefined();
  });

  it('looks at the tags of a gateway', () => {
    const gateway = { networking: { gateway: { tags: { team: 'x' } } } };
    expect(membershipProblem('m', mesh({ requirements: [{ tags: { team: 'y' } }] }), gateway)).toMatch(
      /does not fulfill/,
    );
  });
});
