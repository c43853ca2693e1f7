/** Who gets through: RBAC filters out of principals. Source: Kuma 2.11 `meshtrafficpermission/xds`; Envoy `config.rbac.v3`. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type PrincipalSchema, RBAC_Action, type RBACSchema } from '@weft/protos/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '@weft/protos/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RBACSchema as NetworkRbacSchema } from '@weft/protos/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { encode } from './encode.ts';
import { statName } from './names.ts';

export type PrincipalInit = MessageInitShape<typeof PrincipalSchema>;

/** Each list is an "or". */
export interface RbacRules {
  /** Nobody, when empty. */
  readonly allow: readonly PrincipalInit[];
  /** Would be refused; counted, not enforced. */
  readonly shadowDeny: readonly PrincipalInit[];
}

/** Name of the one policy in each filter; statistics and access logs show it. */
const POLICY = 'MeshTrafficPermission';

export const HTTP_RBAC_TYPE = HttpRbacSchema.typeName;
export const NETWORK_RBAC_TYPE = NetworkRbacSchema.typeName;

/** Encoded `envoy.filters.http.rbac`. */
export function httpRbac(rules: RbacRules): Uint8Array {
  return encode(HttpRbacSchema, rulesOf(rules));
}

/** The part of an encoded `envoy.filters.network.rbac` that many listeners share; to be joined with `networkRbacStats`. */
export function networkRbac(rules: RbacRules): Uint8Array {
  return encode(NetworkRbacSchema, rulesOf(rules));
}

/** The part that each listener has for itself. The dot keeps "rbac" apart from the listener's name in statistics. */
export function networkRbacStats(listener: string): Uint8Array {
  return encode(NetworkRbacSchema, { statPrefix: `${statName(listener)}.` });
}

/** Everyone. */
export const ANYONE: PrincipalInit = { identifier: { case: 'any', value: true } };

/** A client whose certificate has this URI SAN, whole or (`prefix`) at its start. Compared as text: nothing in it is a pattern. */
export function uriPrincipal(value: string, how: 'exact' | 'prefix' = 'exact'): PrincipalInit {
  return {
    identifier: {
      case: 'authenticated',
      value: { principalName: { matchPattern: { case: how, value } } },
    },
  };
}

/** `ids` is not empty. */
export function everyOf(ids: readonly PrincipalInit[]): PrincipalInit {
  return ids.length === 1 ? ids[0]! : { identifier: { case: 'andIds', value: { ids: [...ids] } } };
}

/** `ids` is not empty. */
export function oneOf(ids: readonly PrincipalInit[]): PrincipalInit {
  return ids.length === 1 ? ids[0]! : { identifier: { case: 'orIds', value: { ids: [...ids] } } };
}

export function notPrincipal(id: PrincipalInit): PrincipalInit {
  return { identifier: { case: 'notId', value: id } };
}

/** `rules` is there even for nobody: without it the filter would let everyone in. */
function rulesOf({ allow, shadowDeny }: RbacRules): {
  rules: MessageInitShape<typeof RBACSchema>;
  shadowRules?: MessageInitShape<typeof RBACSchema>;
} {
  return {
    rules: { action: RBAC_Action.ALLOW, policies: policiesOf(allow) },
    ...(shadowDeny.length > 0 && {
      shadowRules: { action: RBAC_Action.DENY, policies: policiesOf(shadowDeny) },
    }),
  };
}

function policiesOf(principals: readonly PrincipalInit[]): MessageInitShape<typeof RBACSchema>['policies'] {
  if (principals.length === 0) return {};
  return { [POLICY]: { permissions: [{ rule: { case: 'any', value: true } }], principals: [...principals] } };
}
