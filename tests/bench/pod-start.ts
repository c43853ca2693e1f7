/**
 * From "Pod created" to its first answer over mTLS, on a real node: `node tests/bench/pod-start.ts`. Linux, as root.
 *
 * | setting | meaning | default |
 * | --- | --- | --- |
 * | `ROUNDS` | Pods of each kind, one after the other | 5 |
 *
 * `server`: a client that calls the address of a Service 50 times a second, until the first Pod behind it answers. `client`: a new Pod, until it has the first answer
 * of a running server. It begins when the API server got the Pod, and ends when the application of the client has read the answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ALLOW_ALL,
  APP_PORT,
  type ClientStats,
  createTestCa,
  createWorld,
  eventually,
  pageMesh,
  SHOP,
  STATS_PORT,
} from '../e2e/kubernetes/world.ts';
import { http } from '../e2e/mesh.ts';

const given = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=', 2) as [string, string]));
const ROUNDS = Number(given['ROUNDS'] ?? 5);
const LONGEST_MS = 120_000;
const client = (url: string) => ['client', String(STATS_PORT), '50', url];
const urlOf = (service: string) => `http://${service}.${SHOP}:${APP_PORT}/`;

const world = await createWorld();
try {
  await world.applyIssuer({ name: 'my-ca-issuer', ca: await createTestCa({ subject: 'CN=bench-ca', uriSans: [] }) });
  await world.apply(pageMesh({ conf: { issuerRef: { name: 'my-ca-issuer' } } }), ALLOW_ALL);
  const server = ['server', String(APP_PORT)];
  await Promise.all([
    world.deploy({ name: 'api', count: 1, args: server }),
    world.deploy({ name: 'fresh', count: 0, args: server }),
    world.deploy({ name: 'poller', count: 1, args: client(urlOf('fresh')) }),
    world.deploy({ name: 'caller', count: 0, args: client(urlOf('api')) }),
  ]);
  for (const [app, asked] of [
    ['fresh', 'poller'],
    ['caller', 'caller'],
  ] as const) {
    const times: number[] = [];
    while (times.length < ROUNDS) {
      times.push(await timeOne(app, asked));
      await scale(app, 0);
      await eventually(`no Pod of ${app}`, LONGEST_MS, async () => (await everyPod(app)).length === 0);
      await sleep(1000);
    }
    const sorted = times.toSorted((a, b) => a - b);
    const text = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
    console.log(
      `${app === 'fresh' ? 'server' : 'client'}: median ${text(sorted[ROUNDS >> 1]!)}, all ${times.map(text).join(', ')}`,
    );
  }
} finally {
  await world.close();
}

/** Milliseconds from the Pod that `app` gets now until the client `asked` has good answers. */
async function timeOne(app: string, asked: string): Promise<number> {
  const before = new Date().toISOString();
  await scale(app, 1);
  const goodAt = await eventually(`an answer for ${asked}`, LONGEST_MS, async () => {
    const [pod] = await world.pods(asked);
    if (pod?.status.podIP === undefined) return false;
    const { body } = await http(`http://${pod.status.podIP}:${STATS_PORT}/stats`);
    const { goodSince } = JSON.parse(body) as ClientStats;
    return goodSince !== undefined && goodSince > before && goodSince;
  });
  const created = world.cluster
    .audit!.events()
    .findLast(
      ({ verb, objectRef }) =>
        verb === 'create' &&
        objectRef?.resource === 'pods' &&
        objectRef.subresource === undefined &&
        objectRef.namespace === SHOP,
    );
  return Date.parse(goodAt) - Date.parse(created!.requestReceivedTimestamp);
}

async function scale(app: string, count: number): Promise<void> {
  await world.cluster.kubectl('-n', SHOP, 'scale', `deployment/${app}`, `--replicas=${count}`);
}

async function everyPod(app: string): Promise<readonly unknown[]> {
  return (await world.json('-n', SHOP, 'get', 'pods', '-l', `app=${app}`)).items;
}
