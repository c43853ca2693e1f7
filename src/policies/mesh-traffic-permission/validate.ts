import type { Violation } from '../../resources/resource.ts';
import { targetRefWarnings, validateTargetRef } from '../core/target-ref-validate.ts';
import type { MeshTrafficPermissionSpec, PermissionMatch } from './schema.ts';

type Rule = NonNullable<MeshTrafficPermissionSpec['rules']>[number];

/** Static checks; source: Kuma 2.14 `MeshTrafficPermissionResource.validate`. */
export function validate(spec: MeshTrafficPermissionSpec): readonly Violation[] {
  const from = spec.from ?? [];
  const rules = spec.rules ?? [];
  const out: Violation[] = [];
  if (spec.targetRef !== undefined) {
    const kinds = ['Mesh', 'MeshSubset', 'MeshService', 'MeshServiceSubset', 'Dataplane'] as const;
    out.push(...validateTargetRef(spec.targetRef, 'spec.targetRef', { kinds, inbound: true }));
  }
  if (from.length > 0 && rules.length > 0) {
    out.push({ field: 'spec', message: "field 'from' must be empty when 'rules' is defined" });
  }
  if (from.length === 0 && rules.length === 0) {
    out.push({ field: 'spec.from', message: 'needs at least one item' });
  }
  for (const [index, item] of from.entries()) {
    const path = `spec.from[${index}]`;
    const kinds = ['Mesh', 'MeshSubset', 'MeshService', 'MeshServiceSubset'] as const;
    out.push(...validateTargetRef(item.targetRef, `${path}.targetRef`, { kinds }));
    if (item.default?.action === undefined) out.push({ field: `${path}.default.action`, message: 'must be defined' });
  }
  out.push(...rules.flatMap((rule, index) => validateRule(rule, `spec.rules[${index}]`)));
  return out;
}

function validateRule(rule: Rule, path: string): readonly Violation[] {
  const lists = (['allow', 'allowWithShadowDeny', 'deny'] as const).map((name) => ({
    name,
    matches: rule.default[name] ?? [],
  }));
  if (lists.every(({ matches }) => matches.length === 0)) {
    return [{ field: path, message: "at least one of 'allow', 'allowWithShadowDeny', 'deny' has to be defined" }];
  }
  // The path leaves `default` out: clients match on it (Kuma 2.14).
  return lists.flatMap(({ name, matches }) =>
    matches.flatMap((match, index) => validateMatch(match, `${path}.${name}[${index}]`)),
  );
}

function validateMatch(match: PermissionMatch, path: string): readonly Violation[] {
  const field = `${path}.spiffeID`;
  if (match.spiffeID === undefined) return [{ field, message: 'must be defined' }];
  const problem = spiffeIdProblem(match.spiffeID.value);
  return problem === undefined ? [] : [{ field, message: `must be a valid Spiffe ID: ${problem}` }];
}

/** Why `text` is no SPIFFE ID; `undefined` when it is one. Source: SPIFFE-ID standard, section 2. */
function spiffeIdProblem(text: string): string | undefined {
  if (text === '') return 'cannot be empty';
  const match = /^spiffe:\/\/([^/]*)(\/.*)?$/s.exec(text);
  if (match === null) return 'scheme is missing or invalid';
  if (match[1] === '') return 'trust domain is missing';
  if (!/^[a-z0-9._-]+$/.test(match[1]!)) {
    return 'trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores';
  }
  const segments = (match[2] ?? '').split('/').slice(1);
  if (segments.at(-1) === '') return 'path cannot have a trailing slash';
  if (segments.includes('')) return 'path cannot contain empty segments';
  if (segments.includes('.') || segments.includes('..')) return 'path cannot contain dot segments';
  if (!segments.every((segment) => /^[a-zA-Z0-9._-]+$/.test(segment))) {
    return 'path segment characters are limited to letters, numbers, dots, dashes, and underscores';
  }
  return undefined;
}

/** Deprecations; the resource is accepted all the same. Source: Kuma 2.11. */
export function warnings(spec: MeshTrafficPermissionSpec): readonly string[] {
  const services = (spec.from ?? []).filter((item) => item.targetRef.kind === 'MeshService');
  return [
    ...targetRefWarnings(spec.targetRef),
    ...services.map(
      () =>
        "MeshService value for 'from[].targetRef.kind' is deprecated, use MeshSubset with 'kuma.io/service' instead",
    ),
  ];
}
