import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { meshKind } from '../../resources/kinds/mesh.ts';
import type { Resource } from '../../resources/resource.ts';
import { type KubeClient, KubeError } from '../api/client.ts';
import { kindResourceType } from '../api/kind-type.ts';
import type { JsonObject } from './admission-review.ts';
import type { MeshLookup, WebhookContext } from './context.ts';
import { parseObject } from './parse-object.ts';

const MESH = kindResourceType(meshKind);

/** Meshes by name, asked of the API server each time. Throws `KubeError`. */
export function createMeshLookup(client: Pick<KubeClient, 'get'>, labels: WebhookContext['labels']): MeshLookup {
  return {
    async find(name) {
      try {
        const object = await client.get(MESH, { name });
        const parsed = parseObject(meshKind, object as unknown as JsonObject, labels);
        // A stored Mesh that can't be read is there all the same.
        const mesh = 'resource' in parsed ? parsed.resource : emptyMesh(name);
        return { mesh: mesh as Resource<MeshSpec>, uid: object.metadata.uid ?? '' };
      } catch (error) {
        if (error instanceof KubeError && (error.code === 'not-found' || error.code === 'invalid')) return undefined;
        throw error;
      }
    },
  };
}

function emptyMesh(name: string): Resource<MeshSpec> {
  return {
    type: 'Mesh',
    meta: { mesh: '', name, labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: {},
  };
}
