import type { BackendState } from '../identity/identity.ts';
import { rotationJson } from '../rotation/status.ts';
import type { ResourceStore } from '../store/store.ts';
import type { CaRotations } from './ca-rotations.ts';
import type { InspectSource } from './inspect-source.ts';
import { requireMesh } from './require-mesh.ts';
import { EVERYONE, json, type Route } from './route.ts';

/** How the CA backends of a mesh are, and what its proxies trust; our own. As the control plane that is asked sees it. */
export function mtlsRoutes(store: ResourceStore, inspect: InspectSource, rotations: CaRotations): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/meshes/{mesh}/_mtls',
      access: EVERYONE,
      document: { id: 'getMeshMtls', summary: 'State of the CA backends of a mesh and of its trust', tag: 'Inspect' },
      async handle({ params }) {
        const mesh = await requireMesh(store, params['mesh']!);
        const rotation = await rotations.status(mesh.meta.name);
        return json({
          mesh: mesh.meta.name,
          enabledBackend: mesh.spec.mtls?.enabledBackend ?? '',
          backends: inspect.backends(mesh.meta.name).map(backendJson),
          ...(rotation === undefined ? {} : { rotation: rotationJson(rotation) }),
          bundlePem: inspect.bundlePem(mesh.meta.name) ?? '',
        });
      },
    },
  ];
}

/** Times as RFC 3339, as everywhere in the API. */
function backendJson({ since, roots, ...state }: BackendState): object {
  return {
    ...state,
    since: new Date(since).toISOString(),
    roots: roots.map((root) => ({
      ...root,
      notBefore: new Date(root.notBefore).toISOString(),
      notAfter: new Date(root.notAfter).toISOString(),
    })),
  };
}
