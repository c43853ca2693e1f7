/** The REST calls of the benchmarks; from localhost, which is admin on both control planes. */
import type { Document } from './scenario.ts';

const COLLECTIONS: Readonly<Record<string, string>> = {
  Mesh: 'meshes',
  Dataplane: 'dataplanes',
  MeshTrafficPermission: 'meshtrafficpermissions',
};

/** Creates or replaces a resource. Rejects with the answer's text when refused. */
export async function put(api: string, document: Document): Promise<void> {
  const { type, name, mesh } = document as { type: string; name: string; mesh?: string };
  const collection = COLLECTIONS[type]!;
  await call(
    `${api}${mesh === undefined ? '' : `/meshes/${mesh}`}/${collection}/${name}`,
    'PUT',
    JSON.stringify(document),
  );
}

/** Puts many, 16 at a time. */
export async function putAll(api: string, documents: readonly Document[]): Promise<void> {
  const rest = [...documents].reverse();
  const worker = async (): Promise<void> => {
    for (let next = rest.pop(); next; next = rest.pop()) await put(api, next);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

/** A token that every proxy of the mesh may use. */
export async function dataplaneToken(api: string, mesh: string): Promise<string> {
  return (
    await call(`${api}/tokens/dataplane`, 'POST', JSON.stringify({ mesh, type: 'dataplane', validFor: '24h' }))
  ).trim();
}

async function call(url: string, method: string, body: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url, { method, body, headers: { 'content-type': 'application/json' } });
    const text = await response.text();
    if (response.ok) return text;
    // A control plane that just started may lack its signing key for a moment; a write may meet another.
    if (attempt >= 20 || (response.status < 500 && response.status !== 409))
      throw new Error(`${method} ${url}: ${response.status} ${text.slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
