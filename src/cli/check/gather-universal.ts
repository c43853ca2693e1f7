/** Asks the REST API of a control plane for everything that `weft check` judges there. Reads only. */

import type { Threshold } from '../../lib/expiry-threshold.ts';
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { asJson, asList, asText, fetchJson } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { fetchList } from '../api/lists.ts';
import type { CliIo } from '../io.ts';
import { ask } from './ask.ts';
import { type MeshEntry, mtlsMeshesOf } from './backends.ts';
import type { BackendReport } from './cas.ts';
import { factValue, known } from './fact.ts';
import type { OwnStateReport } from './own-state.ts';
import type { ProxyState } from './proxies.ts';
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
  const [own, meshes, proxies] = await Promise.all([
    ask(readOwnState(client)),
    ask(listMeshes(client, io)),
    ask(listProxies(client, io)),
  ]);
  const entries = factValue(meshes) ?? [];
  return {
    ...head,
    plane: {
      own: { own, threshold: caThreshold, now },
      proxies: {
        proxies,
        mtlsMeshes: mtlsMeshesOf(entries),
        threshold: leafThreshold,
        now,
        inspect: 'weft inspect dataplanes',
      },
      backends: await Promise.all(
        entries
          .filter(({ spec }) => (spec.mtls?.backends ?? []).length > 0)
          .map(async ({ name }) => ({
            mesh: name,
            backends: await ask(listBackends(client, name)),
            threshold: caThreshold,
            now,
          })),
      ),
    },
  };
}

async function readOwnState(client: ApiClient): Promise<OwnStateReport> {
  const doing = 'ask for its own certificates';
  const state = await fetchJson(client, { method: 'GET', path: ['_control-plane'], doing });
  return {
    certificates: asList(state['certificates']).map((one) => ({
      name: asText(one['name']),
      notBefore: Date.parse(asText(one['notBefore'])),
      notAfter: Date.parse(asText(one['notAfter'])),
    })),
    signingKeys: asList(state['signingKeys']) as readonly unknown[] as OwnStateReport['signingKeys'],
  };
}

async function listBackends(client: ApiClient, mesh: string): Promise<readonly BackendReport[]> {
  const path = ['meshes', mesh, '_mtls'];
  const state = await fetchJson(client, { method: 'GET', path, doing: `ask for the backends of mesh ${mesh}` });
  return asList(state['backends']) as readonly unknown[] as readonly BackendReport[];
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
