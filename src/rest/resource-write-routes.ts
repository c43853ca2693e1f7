import { checkBody } from '../resources/body-checks.ts';
import { type ParsedBody, parseUniversal, ResourceParseError } from '../resources/convert.ts';
import type { Kind } from '../resources/kind.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { LabelContext } from '../resources/labels.ts';
import { prepareResource, withDefaults } from '../resources/prepare.ts';
import type { Resource, ResourceKey } from '../resources/resource.ts';
import { deleteViolations, rehearsalViolations, writeViolations } from '../resources/write-checks.ts';
import type { ResourceStore } from '../store/store.ts';
import { collectionPaths, kindAccess } from './kind-traits.ts';
import type { MeshLifecycle, SecretLifecycle } from './lifecycle.ts';
import { type DeleteScope, deleteWithOwned } from './owned.ts';
import { badRequest, inStage, notAllowed, notFound, Problem, requireValid } from './problem.ts';
import { requireMesh } from './require-mesh.ts';
import { type Answer, type Call, json, type Route } from './route.ts';

export interface WriteSources {
  readonly store: ResourceStore;
  readonly context: LabelContext;
  readonly meshLifecycle: MeshLifecycle;
  readonly secretLifecycle: SecretLifecycle;
  readonly deleteScope: DeleteScope;
  /** The whole API is for reading. */
  readonly readOnly: boolean;
}

const PROCESS_TITLE = 'Could not process a resource';
const CREATE_TITLE = 'Could not create a resource';
const UPDATE_TITLE = 'Could not update a resource';
const DELETE_TITLE = 'Could not delete a resource';

/** `PUT` and `DELETE` of one kind. Source: compatibility reference 5, the order of checks (a) to (f). */
export function writeRoutes(sources: WriteSources, kind: Kind): readonly Route[] {
  const access = kindAccess(kind);
  const putAccess = 'what' in access ? { ...access, late: true } : access;
  const refusal = readOnlyText(sources, kind);
  return collectionPaths(kind).flatMap((path, index): Route[] => {
    const suffix = index === 0 ? '' : String(index + 1);
    return [
      {
        method: 'PUT',
        path: `${path}/{name}`,
        access: refusal === undefined ? putAccess : access,
        document: {
          id: `put${kind.type}${suffix}`,
          summary: `Create or replace one ${kind.singularDisplayName}`,
          tag: kind.type,
          body: { $ref: `#/components/schemas/${kind.type}` },
          answer: { $ref: '#/components/schemas/Changed' },
          statuses: { 201: 'Created' },
        },
        handle: refusal === undefined ? (call) => put(sources, kind, call) : () => refuse(refusal),
      },
      {
        method: 'DELETE',
        path: `${path}/{name}`,
        access,
        document: {
          id: `delete${kind.type}${suffix}`,
          summary: `Delete one ${kind.singularDisplayName}`,
          tag: kind.type,
          answer: { $ref: '#/components/schemas/Changed' },
        },
        handle: refusal === undefined ? (call) => remove(sources, kind, call) : () => refuse(refusal),
      },
    ];
  });
}

/** Why a kind is not changed over the API; `undefined`: it is. */
function readOnlyText({ readOnly, context }: WriteSources, kind: Kind): string | undefined {
  if (kind.readOnly) return `${kind.type} is written by the control plane itself and can't be changed over the API`;
  // As Kuma on Kubernetes: there the objects of the cluster are what counts, and their admission checks who may change them.
  if (context.environment === 'kubernetes') {
    return 'on Kubernetes resources are changed with kubectl apply and kubectl delete, not over the API or with weft apply; reading works';
  }
  return readOnly ? 'this control plane serves its API for reading only' : undefined;
}

async function refuse(text: string): Promise<never> {
  throw notAllowed(text);
}

async function put(sources: WriteSources, kind: Kind, call: Call): Promise<Answer> {
  const { store, context } = sources;
  const { mesh = '', name = '' } = call.params;
  const owner = kind.scope === 'Mesh' ? await requireMesh(store, mesh) : undefined;
  const parsed = readBody(kind, call);
  const given = withDefaults(kind, parsed.resource);
  requireValid(PROCESS_TITLE, kind.validate(given.spec, given));
  requireValid(PROCESS_TITLE, checkBody(kind, parsed, { mesh, name }, context));
  call.authorize();
  const isNew = await retryConflicts(() => write(sources, kind, given, owner));
  const warnings = kind.warnings?.(given.spec, given) ?? [];
  return json(warnings.length > 0 ? { warnings } : {}, isNew ? 201 : 200);
}

/** Stage (b): the body as a resource. What is no resource at all is `Bad Request`, what the schema refuses has fields. */
function readBody(kind: Kind, call: Call): ParsedBody {
  try {
    return parseUniversal(kind, call.body());
  } catch (error) {
    if (error instanceof ResourceParseError) {
      requireValid(PROCESS_TITLE, error.violations);
      throw badRequest(error.message);
    }
    if (error instanceof Problem && error.status === 400) {
      throw badRequest(`invalid ${kind.type} object: ${JSON.stringify(error.message)}`);
    }
    throw error;
  }
}

/** Stages (e) and (f) and the write itself, against what is stored now. Resolves to true when the resource is new. */
async function write(
  sources: WriteSources,
  kind: Kind,
  given: Resource,
  owner: Resource<MeshSpec> | undefined,
): Promise<boolean> {
  const { store, meshLifecycle } = sources;
  const key: ResourceKey = { type: kind.type, mesh: given.meta.mesh, name: given.meta.name };
  const stored = await inStage('Failed to find a resource', () => store.get(key));
  const title = stored ? UPDATE_TITLE : CREATE_TITLE;
  const resource = prepareResource(sources.context, kind, given, stored);
  requireValid(title, await inStage(title, () => writeViolations(meshLifecycle, kind, resource, stored, owner)));
  requireValid(title, await inStage(title, () => rehearsalViolations(meshLifecycle, kind, resource, stored)));
  await inStage(title, () => (stored ? store.update(resource, stored.meta.version) : store.create(resource)));
  if (kind.type === 'Mesh') await inStage(title, () => meshLifecycle.ensure(resource as Resource<MeshSpec>));
  return stored === undefined;
}

async function remove(sources: WriteSources, kind: Kind, call: Call): Promise<Answer> {
  const { store } = sources;
  const { mesh = '', name = '' } = call.params;
  if (kind.scope === 'Mesh') await requireMesh(store, mesh);
  const resource = await inStage(DELETE_TITLE, () => store.get({ type: kind.type, mesh, name }));
  if (!resource) throw notFound(DELETE_TITLE);
  const { meshLifecycle, secretLifecycle } = sources;
  requireValid(
    DELETE_TITLE,
    await inStage(DELETE_TITLE, () => deleteViolations(meshLifecycle, secretLifecycle, kind, resource)),
  );
  await inStage(DELETE_TITLE, () => deleteWithOwned(store, resource, sources.deleteScope));
  return json({});
}

const CONFLICT_ATTEMPTS = 5;

/** A PUT names no version, so a write that came between is no reason to refuse it: look again and check against the new state. */
async function retryConflicts<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = CONFLICT_ATTEMPTS; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      const isConflict = error instanceof Problem && error.status === 409;
      if (!isConflict || left <= 1) throw error;
    }
  }
}
