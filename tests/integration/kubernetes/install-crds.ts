import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { CUSTOM_RESOURCE_DEFINITION, type CustomResourceDefinition, crds } from '../../../src/k8s/api/crds.ts';
import type { Condition, KubeObject } from '../../../src/k8s/api/object.ts';
import type { Kind } from '../../../src/resources/kind.ts';
import { eventually } from '../../../src/testing/envoy.ts';

/** A definition with what the API server says of it. */
export interface InstalledCrd extends KubeObject {
  readonly spec: CustomResourceDefinition['spec'];
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** Installs the definitions of these kinds; resolves when all are served, with what the API server says of them. */
export async function installCrds(client: KubeClient, kinds: readonly Kind[]): Promise<readonly InstalledCrd[]> {
  const names: string[] = [];
  for (const definition of crds(kinds)) {
    const { name } = definition.metadata;
    await client.patch(CUSTOM_RESOURCE_DEFINITION, { name }, definition, { as: 'apply' });
    names.push(name);
  }
  return eventually('the definitions are served', () =>
    Promise.all(
      names.map(async (name) => {
        const crd = await client.get<InstalledCrd>(CUSTOM_RESOURCE_DEFINITION, { name });
        const established = crd.status?.conditions?.find(({ type }) => type === 'Established')?.status === 'True';
        if (!established) throw new Error(`${name} is not established`);
        const [version] = crd.spec.versions;
        await client.list({
          group: crd.spec.group,
          version: version.name,
          plural: crd.spec.names.plural,
          kind: crd.spec.names.kind,
          namespaced: crd.spec.scope === 'Namespaced',
        });
        return crd;
      }),
    ),
  );
}
