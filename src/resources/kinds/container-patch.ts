import { z } from 'zod';
import type { Kind } from '../kind.ts';
import type { DeepReadonly } from '../proto-json.ts';
import type { Violation } from '../resource.ts';

/** One step of a JSON Patch (RFC 6902). `value` is JSON as text: `"true"`, `"{\"add\": [\"NET_RAW\"]}"`. */
const step = z.strictObject({
  op: z.enum(['add', 'remove', 'replace', 'move', 'copy', 'test']),
  path: z.string(),
  from: z.string().optional(),
  value: z.string().optional(),
});

const schema = z.strictObject({
  sidecarPatch: z.array(step).optional(),
  initPatch: z.array(step).optional(),
});

/** Changes to the containers that the injector adds. Source: Kuma 2.11 `ContainerPatch` of `kuma.io/v1alpha1`. */
export type ContainerPatchSpec = DeepReadonly<z.infer<typeof schema>>;
export type ContainerPatchStep = DeepReadonly<z.infer<typeof step>>;

export const containerPatchKind: Kind<ContainerPatchSpec> = {
  type: 'ContainerPatch',
  path: 'containerpatches',
  pathAliases: [],
  scope: 'Mesh',
  model: 'spec',
  shortName: 'cp',
  singularDisplayName: 'Container Patch',
  pluralDisplayName: 'Container Patches',
  access: 'everyone',
  readOnly: false,
  internal: false,
  onlyKubernetes: true,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: ({ sidecarPatch = [], initPatch = [] }) => [
    ...sidecarPatch.flatMap((one, index) => violationsOf(one, `spec.sidecarPatch[${index}]`)),
    ...initPatch.flatMap((one, index) => violationsOf(one, `spec.initPatch[${index}]`)),
  ],
};

function violationsOf({ op, path, from, value }: ContainerPatchStep, field: string): readonly Violation[] {
  const found: Violation[] = [];
  if (!isPointer(path))
    found.push({ field: `${field}.path`, message: 'must be a JSON pointer such as /resources/limits' });
  const needsFrom = op === 'move' || op === 'copy';
  if (needsFrom && (from === undefined || !isPointer(from)))
    found.push({ field: `${field}.from`, message: `must be a JSON pointer, since op is ${op}` });
  const needsValue = op === 'add' || op === 'replace' || op === 'test';
  if (needsValue && parseStepValue(value) === undefined)
    found.push({
      field: `${field}.value`,
      message: 'must be JSON in a text, such as "true" or "{\\"cpu\\": \\"1\\"}"',
    });
  return found;
}

function isPointer(path: string): boolean {
  return /^(?:\/(?:[^~/]|~0|~1)*)+$/.test(path);
}

/** The JSON in a step's `value`; `undefined` when it is none. */
export function parseStepValue(value: string | undefined): unknown {
  if (value === undefined) return undefined;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
