import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataplaneInbound, DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import type { Resource } from '../../resources/resource.ts';
import type { TargetRef } from '../core/target-ref.ts';
import { type InboundPermissions, matchesClient, type Permission, sanOfTag } from './client-matcher.ts';
import { permissionsFor } from './rules.ts';
import type { MeshTrafficPermissionSpec, PermissionAction } from './schema.ts';

const inbound: DataplaneInbound = { port: 80, tags: { 'kuma.io/service': 'api' } };
const dataplane: Resource<DataplaneSpec> = {
  type: 'Dataplane',
  meta: { mesh: 'm', name: 'api-1', labels: {}, creationTime: '', modificationTime: '', version: '' },
  spec: { networking: { address: '10.0.0.1', inbound: [inbound] } },
};
const policy = (name: string, spec: MeshTrafficPermissionSpec, labels: Record<string, string> = {}): Resource => ({
  type: 'MeshTrafficPermission',
  meta: { mesh: 'm', name, labels, creationTime: '', modificationTime: '', version: '' },
  spec,
});
const from = (...items: [TargetRef, PermissionAction][]): MeshTrafficPermissionSpec => ({
  from: items.map(([targetRef, action]) => ({ targetRef, default: { action } })),
});
const permissions = (...policies: Resource[]) => permissionsFor(dataplane, inbound, policies, { shadow: false });

type Client = Record<string, string>;
const sans = (client: Client) =>
  new Set(Object.entries(client).flatMap(([key, value]) => [sanOfTag('m', key, value), `kuma://${key}/${value}`]));
const any = (list: readonly Permission[], client: Client) =>
  list.some((one) => matchesClient(one.clients, sans(client), 'm'));
const passes = (all: InboundPermissions, client: Client) => any(all.allow, client) && !any(all.deny, client);

const web: Client = { 'kuma.io/service': 'web', version: 'v1' };
const job: Client = { 'kuma.io/service': 'job' };
const MESH: TargetRef = { kind: 'Mesh' };
const service = (name: string): TargetRef => ({ kind: 'MeshSubset', tags: { 'kuma.io/service': name } });

describe('permissionsFor', () => {
  it('lets nobody in without a policy', () => {
    expect(permissions()).toEqual({ allow: [], deny: [], shadowDeny: [] });
  });

  it('lets nobody in when the only policies are for others', () => {
    const other = policy('a', { targetRef: { kind: 'MeshService', name: 'web' }, ...from([MESH, 'Allow']) });
    expect(permissions(other, { ...other, type: 'MeshTimeout' }).allow).toEqual([]);
  });

  it('lets everyone in for Mesh, naming the policy', () => {
    expect(permissions(policy('a', from([MESH, 'Allow'])))).toEqual({
      allow: [{ policy: 'kri_mtp_m___a_', clients: { kind: 'any' } }],
      deny: [],
      shadowDeny: [],
    });
  });

  it('works a later Deny into the allowed clients', () => {
    const all = permissions(policy('a', from([MESH, 'Allow'], [service('web'), 'Deny'])));
    expect(all.allow).toEqual([
      {
        policy: 'kri_mtp_m___a_',
        clients: { kind: 'not', part: { kind: 'tag', key: 'kuma.io/service', value: 'web' } },
      },
    ]);
    expect([passes(all, web), passes(all, job)]).toEqual([false, true]);
  });

  it('lets the later of two items win, and the stronger of two policies', () => {
    expect(passes(permissions(policy('a', from([service('web'), 'Deny'], [MESH, 'Allow']))), web)).toBe(true);
    const wide = policy('z', from([MESH, 'Allow']));
    const narrow = policy('a', { targetRef: { kind: 'MeshService', name: 'api' }, ...from([MESH, 'Deny']) });
    expect(passes(permissions(wide, narrow), web)).toBe(false);
    expect(permissions(narrow, wide)).toEqual(permissions(wide, narrow));
    // Same targetRef: the lexicographically smaller name wins.
    expect(passes(permissions(policy('a', from([MESH, 'Deny'])), policy('b', from([MESH, 'Allow']))), web)).toBe(false);
  });

  it('understands every kind of client group', () => {
    const all = permissions(
      policy(
        'a',
        from(
          [{ kind: 'MeshService', name: 'job' }, 'Allow'],
          [{ kind: 'MeshServiceSubset', name: 'web', tags: { version: 'v1' } }, 'Allow'],
        ),
      ),
    );
    expect([passes(all, web), passes(all, job), passes(all, { 'kuma.io/service': 'web', version: 'v2' })]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('lets AllowWithShadowDeny pass and marks it', () => {
    const all = permissions(policy('a', from([MESH, 'Allow'], [service('web'), 'AllowWithShadowDeny'])));
    expect([passes(all, web), any(all.shadowDeny, web), passes(all, job), any(all.shadowDeny, job)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  it('leaves shadow policies out unless asked', () => {
    const shadow = policy('a', from([MESH, 'Allow']), { 'kuma.io/effect': 'shadow' });
    expect(permissions(shadow).allow).toEqual([]);
    expect(permissionsFor(dataplane, inbound, [shadow], { shadow: true }).allow).toHaveLength(1);
  });

  it('takes rules by SPIFFE ID: deny wins whatever the order', () => {
    const exact = (value: string) => ({ spiffeID: { type: 'Exact' as const, value } });
    const prefix = (value: string) => ({ spiffeID: { type: 'Prefix' as const, value } });
    const all = permissions(
      policy('a', { rules: [{ default: { deny: [exact('spiffe://m/web')] } }] }),
      policy('b', {
        rules: [{ default: { allow: [prefix('spiffe://m/')], allowWithShadowDeny: [exact('spiffe://m/job')] } }],
      }),
    );
    expect([
      passes(all, web),
      passes(all, job),
      any(all.shadowDeny, job),
      passes(all, { 'kuma.io/zone': 'x' }),
    ]).toEqual([false, true, true, false]);
  });

  it('lets only rules count where some policy has them', () => {
    const rules = policy('a', {
      rules: [{ default: { allow: [{ spiffeID: { type: 'Exact', value: 'spiffe://m/web' } }] } }],
    });
    const all = permissions(policy('b', from([MESH, 'Allow'])), rules);
    expect([passes(all, web), passes(all, job)]).toEqual([true, false]);
  });

  it('gives each client what its last matching item says', () => {
    const tags = fc.dictionary(fc.constantFrom('kuma.io/service', 'zone', 'v'), fc.constantFrom('a', 'b'), {
      maxKeys: 3,
    });
    const action = fc.constantFrom<PermissionAction>('Allow', 'Deny', 'AllowWithShadowDeny');
    const items = fc.array(fc.tuple(tags, action), { maxLength: 8 });
    fc.assert(
      fc.property(items, tags, (list, client) => {
        const all = permissions(
          policy(
            'a',
            from(
              ...list.map(([set, does]): [TargetRef, PermissionAction] => [{ kind: 'MeshSubset', tags: set }, does]),
            ),
          ),
        );
        const last = list
          .filter(([set]) => Object.entries(set).every(([key, value]) => client[key] === value))
          .at(-1)?.[1];
        expect(passes(all, client)).toBe(last === 'Allow' || last === 'AllowWithShadowDeny');
        expect(any(all.shadowDeny, client)).toBe(last === 'AllowWithShadowDeny');
      }),
      { numRuns: 2000 },
    );
  });

  it('stays small: a thousand services allowed one by one are a thousand plain entries', () => {
    const many = Array.from({ length: 1000 }, (_, index): [TargetRef, PermissionAction] => [
      service(`s${index}`),
      index % 2 ? 'Deny' : 'Allow',
    ]);
    const all = permissions(policy('a', from(...many)));
    expect(all.allow).toHaveLength(500);
    expect(all.allow.every((one) => one.clients.kind === 'tag')).toBe(true);
  });
});
