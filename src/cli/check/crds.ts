/** CustomResourceDefinitions. Pure. */
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';
import type { Crd, SchemaNode } from './kube-objects.ts';

/** One definition that must be there: `meshes.kuma.io` with version `v1alpha1`. */
export interface ExpectedCrd {
  readonly name: string;
  readonly version: string;
  /** Every field of it must be known to the API server, which drops others without a word. Absent: not looked at. */
  readonly schema?: SchemaNode;
}

/** Findings `crds-present`, `crds-version`, `crds-established` for the definitions of this program. */
export function checkCrds(crds: Fact<readonly Crd[]>, expected: readonly ExpectedCrd[]): Finding[] {
  const list = factValue(crds);
  if (list === undefined) return [skip('crds-present', `the definitions: ${whyUnknown(crds)}`)];
  const { missing, other, pending } = compareCrds(list, expected);
  const hint = 'weft install control-plane | kubectl apply --server-side -f -   # the definitions are part of it';
  const names = nameSome(missing);
  if (missing.length === expected.length) {
    return [finding('crds-present', 'fail', `none of ${expected.length} is there: ${names}`, { hint })];
  }
  return [
    missing.length > 0
      ? finding('crds-present', 'fail', `${missing.length} of ${expected.length} are missing: ${names}`, { hint })
      : ok('crds-present', `all ${expected.length} are there`),
    other.length > 0
      ? finding('crds-version', 'fail', `older than this program: ${nameSome(other)}`, { hint })
      : ok('crds-version', 'all have the version of this program'),
    pending.length > 0
      ? finding('crds-established', 'fail', `not served yet: ${nameSome(pending)}`, {
          hint: `kubectl describe crd ${pending[0]}   # its conditions say why`,
        })
      : ok('crds-established', 'all are served'),
  ];
}

/** Definitions that are missing, that do not serve and store the wanted version with all its fields, that are not established. */
export function compareCrds(crds: readonly Crd[], expected: readonly ExpectedCrd[]) {
  const byName = new Map(crds.map((crd) => [crd.metadata.name, crd]));
  const there = expected.flatMap((one) => {
    const crd = byName.get(one.name);
    return crd === undefined ? [] : [{ ...one, crd }];
  });
  return {
    missing: expected.filter(({ name }) => !byName.has(name)).map(({ name }) => name),
    other: there.flatMap(({ name, version, schema, crd }) => {
      const one = crd.spec.versions.find(
        (candidate) => candidate.name === version && candidate.served && candidate.storage,
      );
      if (one === undefined) return [`${name} (no ${version})`];
      const [field] = missingFields(schema ?? {}, one.schema?.openAPIV3Schema ?? {});
      return schema === undefined || field === undefined ? [] : [`${name} (no ${field})`];
    }),
    pending: there.filter(({ crd }) => !isEstablished(crd)).map(({ name }) => name),
  };
}

function isEstablished(crd: Crd): boolean {
  const conditions = crd.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
}

/** Paths of fields that `wanted` has and `found` has not: `spec.mtls.backends[].mode`. */
function missingFields(wanted: SchemaNode, found: SchemaNode, path = ''): string[] {
  if (found['x-kubernetes-preserve-unknown-fields'] === true) return [];
  const inside = (one: SchemaNode | undefined, other: SchemaNode | undefined, at: string) =>
    one === undefined ? [] : other === undefined ? [at] : missingFields(one, other, at);
  return [
    ...Object.entries(wanted.properties ?? {}).flatMap(([name, one]) =>
      inside(one, found.properties?.[name], path === '' ? name : `${path}.${name}`),
    ),
    ...inside(wanted.items, found.items, `${path}[]`),
    ...inside(asNode(wanted.additionalProperties), asNode(found.additionalProperties), `${path}{}`),
  ];
}

function asNode(value: SchemaNode | boolean | undefined): SchemaNode | undefined {
  return typeof value === 'object' ? value : undefined;
}
