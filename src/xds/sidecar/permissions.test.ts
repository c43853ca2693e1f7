import { fromBinary } from '@bufbuild/protobuf';
import type { Principal } from '@weft/protos/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema } from '@weft/protos/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClientMatcher, matchesClient } from '../../policies/mesh-traffic-permission/client-matcher.ts';
import type { InboundPermissions } from '../../policies/mesh-traffic-permission/rules.ts';
import { createGenerationCache } from '../cache.ts';
import { rbacBytes } from './permissions.ts';

/** Envoy's decision, as `config.rbac.v3.Principal` documents it. */
function passes(principal: Principal, sans: readonly string[]): boolean {
  const { identifier } = principal;
  switch (identifier.case) {
    case 'any':
      return identifier.value;
    case 'andIds':
      return identifier.value.ids.every((id) => passes(id, sans));
    case 'orIds':
      return identifier.value.ids.some((id) => passes(id, sans));
    case 'notId':
      return !passes(identifier.value, sans);
    case 'authenticated': {
      const pattern = identifier.value.principalName?.matchPattern;
      if (pattern?.case === 'exact') return sans.includes(pattern.value);
      if (pattern?.case === 'prefix') return sans.some((san) => san.startsWith(pattern.value));
      throw new Error(`matched by ${pattern?.case}, which is no plain text`);
    }
    default:
      throw new Error(`unexpected principal ${identifier.case}`);
  }
}

function decide(
  permissions: InboundPermissions,
  sans: readonly string[],
  denied: readonly string[] = [],
): { allowed: boolean; shadowDenied: boolean } {
  const { memos } = createGenerationCache({ adminTls: undefined });
  const { rules, shadowRules } = fromBinary(
    RBACSchema,
    rbacBytes(memos, { name: 'default', distrust: { epoch: 0, denied } }, permissions, 'http'),
  );
  const matches = (policies: typeof rules) =>
    Object.values(policies?.policies ?? {}).some(({ principals }) => principals.some((one) => passes(one, sans)));
  expect(rules).toBeDefined();
  return { allowed: matches(rules), shadowDenied: matches(shadowRules) };
}

const san = fc.constantFrom(
  'spiffe://default/web',
  'spiffe://default/webx',
  'spiffe://default/a.b',
  'spiffe://default/aXb',
  'kuma://version/v1',
  'kuma://version/.*',
);
const leaf: fc.Arbitrary<ClientMatcher> = fc.oneof(
  fc.constant<ClientMatcher>({ kind: 'any' }),
  fc
    .record({ key: fc.constantFrom('kuma.io/service', 'version'), value: fc.constantFrom('web', 'a.b', 'v1', '.*') })
    .map((tag) => ({ kind: 'tag' as const, ...tag })),
  san.map((value) => ({ kind: 'spiffe-exact' as const, value })),
  fc
    .constantFrom('spiffe://default/', 'spiffe://default/a.', '')
    .map((value) => ({ kind: 'spiffe-prefix' as const, value })),
);
const { matcher } = fc.letrec<{ matcher: ClientMatcher; parts: readonly ClientMatcher[] }>((tie) => ({
  matcher: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie('parts').map((parts): ClientMatcher => ({ kind: 'and', parts })),
    tie('parts').map((parts): ClientMatcher => ({ kind: 'or', parts })),
    tie('matcher').map((part): ClientMatcher => ({ kind: 'not', part })),
  ),
  parts: fc.array(tie('matcher'), { minLength: 1, maxLength: 3 }),
}));
const list = fc.array(
  matcher.map((clients) => ({ policy: 'kri_mtp_default___p_', clients })),
  { maxLength: 3 },
);

describe('permissions as RBAC', () => {
  test('refuses a service that is distrusted, whoever else may come', () => {
    const everybody = {
      allow: [{ clients: { kind: 'any' as const } }],
      deny: [],
      shadowDeny: [],
    } as unknown as InboundPermissions;
    const allowed = (service: string) => decide(everybody, [`spiffe://default/${service}`], ['web']).allowed;
    expect([allowed('web'), allowed('webx'), allowed('api')]).toEqual([false, true, true]);
  });

  test('no permission means nobody', () => {
    const nobody = { allow: [], deny: [{ policy: 'p', clients: { kind: 'any' as const } }], shadowDeny: [] };
    expect(decide(nobody, ['spiffe://default/web']).allowed).toBe(false);
  });

  test('Envoy lets in exactly whom the policy means', () => {
    fc.assert(
      fc.property(
        fc.record({ allow: list, deny: list, shadowDeny: list }),
        fc.uniqueArray(san),
        (permissions, sans) => {
          const means = (entries: InboundPermissions['allow']) =>
            entries.some(({ clients }) => matchesClient(clients, new Set(sans), 'default'));
          expect(decide(permissions, sans)).toEqual({
            allowed: means(permissions.allow) && !means(permissions.deny),
            shadowDenied: means(permissions.shadowDeny),
          });
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('whatever a name holds is compared as text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' }), (value, other) => {
        const permissions: InboundPermissions = {
          allow: [{ policy: 'p', clients: { kind: 'tag', key: 'kuma.io/service', value } }],
          deny: [],
          shadowDeny: [],
        };
        expect(decide(permissions, [`spiffe://default/${value}`]).allowed).toBe(true);
        expect(decide(permissions, [`spiffe://default/${other}`]).allowed).toBe(other === value);
      }),
      { numRuns: 2000 },
    );
  });
});
