import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { KUMA_GROUP } from '../../src/k8s/api/kind-type.ts';
import { policyKinds } from '../../src/policies/index.ts';
import type { Kind } from '../../src/resources/kind.ts';
import { coreKinds } from '../../src/resources/kinds/index.ts';
import { parseKubernetes, toKubernetes } from '../../src/resources/kubernetes.ts';

const FOLDER = join(import.meta.dirname, '../../docs/examples/kubernetes');
const OPTIONS = { systemNamespace: 'kong-mesh-system' };

interface Example {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: unknown;
}

const examples = readdirSync(FOLDER).flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    const object = document.toJS() as Example;
    return { title: `${file}: ${object.kind} ${object.metadata.name}`, object };
  }),
);
const ours = examples.filter(({ object }) => object.apiVersion.startsWith(`${KUMA_GROUP}/`));

function kindOf({ kind }: Example): Kind {
  const found = [...coreKinds, ...policyKinds].find(({ type }) => type === kind);
  if (found === undefined) throw new Error(`there is no kind ${kind}`);
  return found;
}

describe('examples for Kubernetes', () => {
  it('are those of cert-manager and ours', () => {
    expect(new Set(examples.map(({ object }) => object.apiVersion))).toEqual(
      new Set(['cert-manager.io/v1', 'kuma.io/v1alpha1']),
    );
    expect(ours.length).toBeGreaterThan(3);
  });

  it.each(ours)('$title is valid', ({ object }) => {
    const kind = kindOf(object);
    const resource = parseKubernetes(kind, object, OPTIONS);
    expect(kind.validate(resource.spec, resource)).toEqual([]);
  });

  it.each(ours)('$title has no field that would be ignored', ({ object }) => {
    const kind = kindOf(object);
    expect(toKubernetes(kind, parseKubernetes(kind, object, OPTIONS), OPTIONS)['spec']).toEqual(object.spec);
  });
});
