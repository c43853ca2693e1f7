/** Secrets that are looked for in everything a control plane says (S6 of docs/reliability.md). */
import { http, type TestMesh } from './mesh.ts';

/** Something that was said, and by whom. */
export interface Place {
  readonly where: string;
  readonly text: string;
}

/** Every form of a secret that is searched: each of its lines as it is, and in base64 wherever it stands in the encoded text. */
export function tracesOf(secret: string): readonly string[] {
  const lines = secret.split('\n').filter((line) => line.length >= 8 && !line.startsWith('-----'));
  return lines.flatMap((line) => [
    line,
    ...[0, 1, 2].flatMap((before) => {
      const encoded = Buffer.from(`${'x'.repeat(before)}${line}`).toString('base64');
      // Characters that also carry bits of what stands before or behind it are no trace.
      const trace = encoded.slice(before === 0 ? 0 : before + 1, -4);
      return [trace, trace.replaceAll('+', '-').replaceAll('/', '_')];
    }),
  ]);
}

/** Every GET of the OpenAPI document, for each of `meshes` and each object that there is. */
export async function readEveryRoute(mesh: TestMesh, meshes: readonly string[]): Promise<readonly Place[]> {
  const { paths } = (await mesh.ok('GET', '/openapi.json')) as { paths: Record<string, object> };
  const places: Place[] = [];
  for (const path of Object.keys(paths).filter((one) => 'get' in paths[one]!)) {
    for (const url of await urlsOf(mesh, path, meshes)) {
      const { status, body } = await mesh.api('GET', url);
      // 503: an Envoy that waits for its first certificate.
      if (status >= 500 && status !== 503) throw new Error(`GET ${url}: ${status} ${body}`);
      places.push({ where: `GET ${url}`, text: body });
    }
  }
  const metrics = await http(`http://127.0.0.1:${mesh.ports.diagnostics}/metrics`);
  return [...places, { where: '/metrics', text: metrics.body }];
}

async function urlsOf(mesh: TestMesh, path: string, meshes: readonly string[]): Promise<readonly string[]> {
  const inMeshes = path.includes('{mesh}') ? meshes.map((name) => path.replace('{mesh}', name)) : [path];
  const urls = await Promise.all(
    inMeshes.map(async (one) => {
      const [collection = ''] = one.split('/{name}');
      const names = one === collection ? [] : await namesIn(mesh, collection);
      return one === collection ? [one] : names.map((name) => one.replace('{name}', name));
    }),
  );
  return urls.flat().map((url) => url.replace('{kri}', 'kri_m____default_'));
}

/** Of the objects of a collection; one that is not there when it is empty. */
async function namesIn(mesh: TestMesh, collection: string): Promise<readonly string[]> {
  const { items } = (await mesh.ok('GET', collection)) as { items?: readonly { readonly name: string }[] };
  return items === undefined || items.length === 0 ? ['not-there'] : items.map(({ name }) => name);
}
