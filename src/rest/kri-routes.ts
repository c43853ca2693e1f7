import { toUniversal } from '../resources/convert.ts';
import { kriOf, kriText, parseKri } from '../resources/kri.ts';
import type { Registry } from '../resources/registry.ts';
import type { ResourceStore } from '../store/store.ts';
import { servedKinds } from './kind-traits.ts';
import { badRequest, inStage, notFound } from './problem.ts';
import { EVERYONE, json, type Route } from './route.ts';

const TITLE = 'Could not retrieve a resource';

/**
 * A resource by its KRI [2.14]. Kinds for admins only are not found here, whoever asks: this route makes no difference between users.
 */
export function kriRoutes(store: ResourceStore, registry: Registry): readonly Route[] {
  const kinds = new Map(
    servedKinds(registry)
      .filter((kind) => kind.shortName !== '' && kind.access === 'everyone')
      .map((kind) => [kind.shortName, kind]),
  );
  return [
    {
      method: 'GET',
      path: '/_kri/{kri}',
      access: EVERYONE,
      document: { id: 'getByKri', summary: 'Get one resource by its KRI', tag: 'Inspect' },
      handle: async ({ params }) => {
        const text = params['kri'] ?? '';
        const kri = parseKri(text);
        const kind = kri && kinds.get(kri.shortName);
        if (!kri || !kind) throw badRequest(`read KRI "${text}": no resource is called so`);
        const wanted = kriText({ ...kri, section: '' });
        const { items } = await inStage(TITLE, () =>
          store.list({
            type: kind.type,
            ...(kind.scope === 'Mesh' ? { mesh: kri.mesh } : {}),
            where: (resource) => kriOf(kind.shortName, resource) === wanted,
          }),
        );
        const [found] = items;
        if (!found) throw notFound(TITLE);
        return json(toUniversal(kind, found));
      },
    },
  ];
}
