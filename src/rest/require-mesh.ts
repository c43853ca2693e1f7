import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import { inStage, notFound } from './problem.ts';

/** The Mesh of this name. Throws a 404 when there is none. */
export async function requireMesh(store: ResourceStore, mesh: string): Promise<Resource<MeshSpec>> {
  const title = 'Failed to retrieve Mesh';
  const found = await inStage(title, () => store.get({ type: 'Mesh', mesh: '', name: mesh }));
  if (!found) throw notFound(title);
  return found as Resource<MeshSpec>;
}
