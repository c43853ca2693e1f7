import { validateSelector, validateTags } from '../../resources/kinds/tags.ts';
import type { Violation } from '../../resources/resource.ts';
import type { TargetRef, TargetRefKind } from './target-ref.ts';

type Field = 'name' | 'namespace' | 'labels' | 'tags' | 'mesh' | 'proxyTypes' | 'sectionName';

/** Fields a reference of this kind may not have. `name` of Mesh has its own text. */
const FORBIDDEN: Readonly<Record<TargetRefKind, readonly Field[]>> = {
  Mesh: ['mesh', 'tags', 'labels', 'namespace', 'sectionName'],
  Dataplane: ['tags', 'mesh', 'proxyTypes'],
  MeshSubset: ['name', 'mesh', 'labels', 'namespace', 'sectionName'],
  MeshGateway: ['mesh', 'proxyTypes', 'labels', 'namespace', 'sectionName'],
  MeshService: ['mesh', 'tags', 'proxyTypes'],
  MeshExternalService: ['mesh', 'tags', 'proxyTypes', 'sectionName'],
  MeshMultiZoneService: [],
  MeshServiceSubset: ['mesh', 'proxyTypes', 'labels', 'namespace', 'sectionName'],
  MeshHTTPRoute: ['mesh', 'tags', 'proxyTypes', 'sectionName'],
};

/** Kinds that stand for one named resource (or, where labels are allowed, for those with the labels). */
const NAMED: readonly TargetRefKind[] = [
  'MeshService',
  'MeshServiceSubset',
  'MeshGateway',
  'MeshExternalService',
  'MeshHTTPRoute',
];

export interface TargetRefRules {
  readonly kinds: readonly TargetRefKind[];
  /** The policy configures incoming traffic, so a Dataplane's `sectionName` means something. */
  readonly inbound?: boolean;
  /** `tags` of a MeshGateway choose listeners. */
  readonly gatewayTags?: boolean;
}

/** Violations of a targetRef standing at `path`; source: Kuma 2.11 `mesh.ValidateTargetRef`. */
export function validateTargetRef(ref: TargetRef, path: string, rules: TargetRefRules): readonly Violation[] {
  if (!rules.kinds.includes(ref.kind)) return [{ field: `${path}.kind`, message: 'value is not supported' }];
  const out: Violation[] = FORBIDDEN[ref.kind]
    .filter((field) => isSet(ref[field]))
    .map((field) => ({ field: `${path}.${field}`, message: `must not be set with kind ${ref.kind}` }));
  out.push(...nameChecks(ref, path), ...tagChecks(ref, path, rules));
  const named = isSet(ref.name) || isSet(ref.namespace);
  if (!FORBIDDEN[ref.kind].includes('labels') && isSet(ref.labels) && named) {
    out.push({ field: `${path}.labels`, message: 'either labels or name and namespace must be specified' });
  }
  if ((ref.kind === 'Mesh' || ref.kind === 'MeshSubset') && ref.proxyTypes?.length === 0) {
    out.push({ field: `${path}.proxyTypes`, message: 'must be undefined or have at least one element' });
  }
  if (ref.kind === 'Dataplane' && rules.inbound !== true && isSet(ref.sectionName)) {
    out.push({ field: `${path}.sectionName`, message: 'can only be used with inbound policies' });
  }
  return out;
}

function nameChecks(ref: TargetRef, path: string): readonly Violation[] {
  const field = `${path}.name`;
  if (ref.kind === 'Mesh') {
    return isSet(ref.name) ? [{ field, message: 'using name with kind Mesh is not yet supported' }] : [];
  }
  if (!NAMED.includes(ref.kind)) return [];
  const byLabels = !FORBIDDEN[ref.kind].includes('labels') && isSet(ref.labels);
  if (!isSet(ref.name)) return byLabels ? [] : [{ field, message: `must be set with kind ${ref.kind}` }];
  if (/^[0-9a-z.\-_]*$/.test(ref.name ?? '')) return [];
  return [
    { field, message: "invalid characters: must consist of lower case alphanumeric characters, '-', '.' and '_'." },
  ];
}

function tagChecks(ref: TargetRef, path: string, rules: TargetRefRules): readonly Violation[] {
  const field = `${path}.tags`;
  if (ref.kind === 'MeshSubset') return validateTags(field, ref.tags);
  if (ref.kind === 'MeshServiceSubset') return validateSelector(field, ref.tags);
  if (ref.kind !== 'MeshGateway') return [];
  return rules.gatewayTags === true || !isSet(ref.tags)
    ? validateSelector(field, ref.tags)
    : [{ field, message: `must not be set with kind ${ref.kind}` }];
}

function isSet(value: TargetRef[Field]): boolean {
  if (value === undefined) return false;
  return typeof value === 'object' ? Object.keys(value).length > 0 : value !== '';
}

const REPLACED_BY_DATAPLANE: readonly TargetRefKind[] = ['MeshService', 'MeshServiceSubset', 'MeshSubset'];

/** Warnings for top-level kinds that still work and will not for ever. */
export function targetRefWarnings(ref: TargetRef | undefined): readonly string[] {
  if (ref === undefined || !REPLACED_BY_DATAPLANE.includes(ref.kind)) return [];
  return [`${ref.kind} value for 'targetRef.kind' is deprecated, use Dataplane with labels instead`];
}
