/** Asks the REST API of a control plane for everything that `weft check` judges there. Reads only. */
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { asJson, asText, fetchJson } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { fetchList } from '../api/lists.ts';
import type { CliIo } from '../io.ts';
import { ask } from './ask.ts';
import { backendsOf, type MeshEntry, mtlsMeshesOf, readCa } from './backends.ts';
import { type Fact, factValue, known } from './fact.ts';
import type { ProxyState } from './proxies.ts';
import type { Threshold } from './threshold.ts';
import type { UniversalFacts } from './universal-facts.ts';

export interface UniversalOptions {
  readonly client: ApiClient;
  readonly io: CliIo;
  /** Version of this program. */
  readonly version: string;
  readonly leafThreshold: Threshold;
  readonly caThreshold: Threshold;
}

/** All facts of one control plane. What can't be read is a fact too. */
export async function gatherUniversal(options: UniversalOptions): Promise<UniversalFacts> {
  const { client, io, leafThreshold, caThreshold } = options;
  const sentAt = io.now();
  const index = await ask(readIndex(client));
  const receivedAt = io.now();
  const found = factValue(index);
  const serverTime = Date.parse(found?.date ?? '');
  const clock: UniversalFacts['clock'] = Number.isNaN(serverTime)
    ? { state: 'failed', reason: 'its answers have no date' }
    : known({ sentAt, receivedAt, serverTime });
  const now = Number.isNaN(serverTime) ? io.now() : serverTime;
  const head = { url: client.url, index, clock, version: options.version, now };
  if (found === undefined) return { ...head, plane: undefined };
  const [meshes, proxies] = await Promise.all([ask(listMeshes(client, io)), ask(listProxies(client, io))]);
  const entries = factValue(meshes) ?? [];
  const readSecret = async (mesh: string, name: string): Promise<Fact<Buffer>> => {
    const path = ['meshes', mesh, 'secrets', name];
    const secret = await ask(fetchJson(client, { method: 'GET', path, doing: `get Secret ${name}` }));
    return secret.state === 'known' ? known(Buffer.from(asText(secret.value['data']), 'base64')) : secret;
  };
  return {
    ...head,
    plane: {
      proxies: {
        proxies,
        mtlsMeshes: mtlsMeshesOf(entries),
        threshold: leafThreshold,
        now,
        inspect: 'weft inspect dataplanes',
      },
      cas: await Promise.all(backendsOf(entries).map((backend) => readCa(backend, readSecret))),
      caThreshold,
    },
  };
}

async function readIndex(client: ApiClient): Promise<{ readonly version: string; readonly date: string | undefined }> {
  const request = { method: 'GET', path: [], doing: 'ask for its version' } as const;
  const { date } = await client.send(request);
  return { version: asText((await fetchJson(client, request))['version']), date };
}

async function listMeshes(client: ApiClient, io: CliIo): Promise<readonly MeshEntry[]> {
  const { items } = await fetchList(client, { path: ['meshes'], doing: 'list meshes' }, io);
  // A Mesh has its spec at the top level of its Universal form.
  return items.map((item) => ({ name: asText(item['name']), spec: item as MeshSpec }));
}

async function listProxies(client: ApiClient, io: CliIo): Promise<readonly ProxyState[]> {
  const { items } = await fetchList(client, { path: ['dataplanes', '_overview'], doing: 'list proxies' }, io);
  return items.map((item) => ({
    mesh: asText(item['mesh']),
    name: asText(item['name']),
    insight:
      item['dataplaneInsight'] === undefined ? undefined : (asJson(item['dataplaneInsight']) as DataplaneInsightSpec),
  }));
}
