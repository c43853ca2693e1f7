import { z } from 'zod';
import type { Kind } from '../resources/kind.ts';
import { createRegistry, type Registry } from '../resources/registry.ts';

/** The kinds of the store contract, with specs of any content, as a cluster can hold them. */
export function contractKinds(): Registry {
  return createRegistry([
    kind('Dataplane', 'Mesh'),
    kind('DataplaneInsight', 'Mesh'),
    kind('Paged', 'Mesh'),
    kind('Zone', 'Global'),
    kind('Mesh', 'Global'),
  ]);
}

function kind(type: string, scope: Kind['scope']): Kind {
  const anything = z.record(z.string(), z.unknown());
  return {
    type,
    path: `${type.toLowerCase()}s`,
    pathAliases: [],
    scope,
    model: 'spec',
    shortName: '',
    singularDisplayName: type,
    pluralDisplayName: type,
    access: 'everyone',
    readOnly: false,
    internal: false,
    includeInFederation: false,
    kubernetesScope: scope === 'Mesh' ? 'Namespaced' : 'Cluster',
    schema: anything,
    statusSchema: anything,
    validate: () => [],
  };
}
