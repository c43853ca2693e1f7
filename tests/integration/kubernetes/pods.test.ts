/** From Pods and Services to Dataplanes and outbounds, and whose token is whose, on a real API server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuthError, AuthUnavailableError } from '../../../src/auth/errors.ts';
import { createServiceAccountAuthenticator } from '../../../src/auth/service-account.ts';
import type { KubeClient } from '../../../src/k8s/api/client.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import { POD, type Pod, SECRET } from '../../../src/k8s/api/core-kinds.ts';
import { kindResourceType } from '../../../src/k8s/api/kind-type.ts';
import { reviewToken } from '../../../src/k8s/api/token-review.ts';
import { DATAPLANE } from '../../../src/k8s/controllers/dataplane-writer.ts';
import { silentLogger } from '../../../src/lib/log.ts';
import type { Kind } from '../../../src/resources/kind.ts';
import { meshKind } from '../../../src/resources/kinds/mesh.ts';
import { eventually, freePort, startEnvoy, testEnvoy } from '../../../src/testing/envoy.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import {
  controlPlaneEnv,
  createPod,
  followDataplanes,
  highest,
  inboundsOf,
  mesh,
  middle,
  podToken,
  prepareCluster,
  putService,
  type RunningControlPlane,
  SYSTEM,
  setPodStatus,
  startControlPlane,
  type TestPod,
} from './pods-fixture.ts';

const missing = missingCluster('api');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);
const envoy = missing === undefined ? await testEnvoy() : undefined;

const AUDIENCE = 'weft-control-plane';
const MESH = kindResourceType(meshKind as Kind);
const WEFT = join(import.meta.dirname, '../../../dist/bin/weft.js');
const report = (line: string) => process.stderr.write(`${line}\n`);

describe.skipIf(missing !== undefined)(`Pods on a cluster${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let client: KubeClient;
  let controlPlane: RunningControlPlane;
  let dataplanes: Awaited<ReturnType<typeof followDataplanes>>;
  const workDir = mkdtempSync(join(tmpdir(), 'weft-pods-'));

  beforeAll(async () => {
    cluster = await startCluster({ level: 'api', audit: true, certManager: false });
    client = await connectKubernetes({ kubeconfig: cluster.kubeconfig });
    await prepareCluster(client, ['shop', 'crowd']);
    controlPlane = await startControlPlane(cluster.kubeconfig, workDir, silentLogger);
    await eventually('the default mesh', () => client.get(MESH, { name: 'default' }));
    await eventually('the ServiceAccount', () => cluster.kubectl('get', 'serviceaccount', 'default', '-n', 'shop'));
    dataplanes = await followDataplanes(client, 'shop');
  }, 1_200_000);

  afterAll(async () => {
    await dataplanes?.close();
    await controlPlane?.[Symbol.asyncDispose]();
    await client?.close();
    await cluster?.stop();
    rmSync(workDir, { recursive: true, force: true });
  });

  const pod = (name: string, ip: string, labels?: Record<string, string>): TestPod => ({
    namespace: 'shop',
    name,
    ip,
    ...(labels === undefined ? {} : { labels }),
  });

  it('a Pod becomes a Dataplane in milliseconds, and follows readiness as fast', async () => {
    await putService(client, 'shop', 'web', {
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 8080, appProtocol: 'http' }],
    });
    const [made, flipped]: [number[], number[]] = [[], []];
    for (let n = 0; n < 20; n += 1) {
      const one = pod(`web-${n}`, `10.1.0.${n + 1}`);
      await createPod(client, one);
      const start = performance.now();
      await dataplanes.until(`Dataplane of ${one.name}`, () => dataplanes.get(one.name) !== undefined);
      made.push(performance.now() - start);
      await setPodStatus(client, one, false);
      const flip = performance.now();
      const isNotReady = () => inboundsOf(dataplanes.get(one.name))[0]?.state === 'NotReady';
      await dataplanes.until(`${one.name} is not ready`, isNotReady);
      flipped.push(performance.now() - flip);
      await setPodStatus(client, one, true);
    }
    report(
      `Pod to Dataplane, after the API server answered: median ${middle(made).toFixed(1)} ms, worst ${highest(made).toFixed(1)} ms`,
    );
    report(`readiness to Dataplane: median ${middle(flipped).toFixed(1)} ms, worst ${highest(flipped).toFixed(1)} ms`);
    expect(dataplanes.get('web-0')).toMatchObject({
      mesh: 'default',
      metadata: {
        ownerReferences: [{ kind: 'Pod', name: 'web-0' }],
        labels: { 'k8s.kuma.io/service-account': 'default' },
      },
      spec: {
        networking: {
          address: '10.1.0.1',
          inbound: [{ port: 8080, tags: { 'kuma.io/service': 'web_shop_svc_80', 'kuma.io/protocol': 'http' } }],
        },
      },
    });
    expect(middle(made)).toBeLessThan(250);
    expect(middle(flipped)).toBeLessThan(250);
  });

  it('follows the selector of a Service, and the mesh of a Pod', async () => {
    const tags = () => inboundsOf(dataplanes.get('web-1'))[0]?.tags['kuma.io/service'];
    await putService(client, 'shop', 'second', {
      selector: { colour: 'red' },
      ports: [{ port: 90, targetPort: 8080 }],
    });
    const labels = { metadata: { labels: { app: null, colour: 'red' } } };
    await client.patch(POD, { namespace: 'shop', name: 'web-1' }, labels, { as: 'merge' });
    await dataplanes.until('web-1 is behind the other Service', () => tags() === 'second_shop_svc_90');
    await putService(client, 'shop', 'second', {
      selector: { colour: 'blue' },
      ports: [{ port: 90, targetPort: 8080 }],
    });
    await dataplanes.until('web-1 is behind none', () => tags() === 'web-1_shop_svc');

    await client.create(MESH, mesh('other'));
    await client.patch(
      POD,
      { namespace: 'shop', name: 'web-1' },
      { metadata: { labels: { 'kuma.io/mesh': 'other' } } },
      { as: 'merge' },
    );
    await dataplanes.until('web-1 is in the other mesh', () => dataplanes.get('web-1')?.mesh === 'other');
  });

  it('tells the owner of a Pod what is wrong with it', async () => {
    await createPod(client, { ...pod('wrong', '10.1.1.1'), annotations: { 'kuma.io/gateway': 'nonsense' } });
    const event = await eventually('an Event', async () => {
      const lines = await cluster.kubectl(
        'get',
        'events',
        '-n',
        'shop',
        '--field-selector=involvedObject.name=wrong',
        '-o',
        'jsonpath={.items[*].message}',
      );
      return lines.includes('nonsense') ? lines : undefined;
    });
    expect(event).toBe("Failed to generate Kuma Dataplane: invalid delegated gateway type 'nonsense'");
  });

  it('a Dataplane goes with its Pod, and when the Pod is over', async () => {
    await client.delete(POD, { namespace: 'shop', name: 'web-2' });
    await dataplanes.until(
      'the Dataplane of a deleted Pod is collected',
      () => dataplanes.get('web-2') === undefined,
      30_000,
    );
    await setPodStatus(client, pod('web-3', '10.1.0.4'), false, 'Succeeded');
    await dataplanes.until('the Dataplane of a finished Pod is gone', () => dataplanes.get('web-3') === undefined);
  });

  it('makes what a Mesh stands on: its signing key, owned by the Mesh', async () => {
    const secret = await eventually('the signing key', () =>
      client.get(SECRET, { namespace: SYSTEM, name: 'dataplane-token-signing-key-other-1' }),
    );
    expect(secret.metadata.labels).toMatchObject({ 'kuma.io/mesh': 'other' });
    expect(secret.metadata.ownerReferences).toMatchObject([{ kind: 'Mesh', name: 'other' }]);
  });

  describe('tokens of the kubelet', () => {
    const world = (podOf: Pod | undefined) =>
      createServiceAccountAuthenticator({
        review: (token, audiences) => reviewToken(client, token, audiences),
        audience: AUDIENCE,
        podOf: () =>
          podOf === undefined
            ? 'unowned'
            : {
                mesh: 'default',
                namespace: 'shop',
                name: podOf.metadata.name,
                uid: podOf.metadata.uid!,
                serviceAccount: 'default',
              },
        allowUnbound: false,
        now: Date.now,
        freshMs: 0,
      });
    const verdict = async (authenticator: ReturnType<typeof world>, token: string) => {
      try {
        await authenticator.authenticate({
          token,
          mesh: 'default',
          name: 'x.shop',
          proxyType: 'dataplane',
          dataplaneTags: new Map(),
        });
        return 'in';
      } catch (error) {
        if (error instanceof AuthError) return `${error.code}: ${error.message}`;
        throw error;
      }
    };

    it('are good for their own Pod only, while it lives', async () => {
      const [one, other] = [
        await createPod(client, pod('token-1', '10.1.2.1')),
        await createPod(client, pod('token-2', '10.1.2.2')),
      ];
      const token = await podToken(client, one, AUDIENCE);
      const authenticator = world(one);
      expect(await verdict(authenticator, token)).toBe('in');
      expect(await verdict(world(other), token)).toBe(
        'not-bound: proxy name from requestor: token-2 is different than in token: token-1',
      );
      expect(await verdict(world(undefined), token)).toContain('not-bound');
      expect(await verdict(authenticator, `${token.slice(0, -4)}AAAA`)).toContain('refused');
      expect(await verdict(authenticator, await podToken(client, one, 'somebody-else'))).toContain('invalid-claims');
      await client.delete(POD, { namespace: 'shop', name: 'token-1' });
      // The API server takes a token for a few seconds more at most, out of its own cache.
      await eventually(
        'the token of a deleted Pod is refused',
        async () => (await verdict(authenticator, token)).startsWith('refused'),
        60_000,
      );
      const again = await createPod(client, pod('token-1', '10.1.2.1'));
      expect(await verdict(world(again), token)).toContain('refused');
    });

    it('while the API server is away, who was vouched for comes back and nobody else', async () => {
      const owner = await createPod(client, pod('token-4', '10.1.2.4'));
      const [known, unknown] = [await podToken(client, owner, AUDIENCE), await podToken(client, owner, AUDIENCE, 3601)];
      const authenticator = world(owner);
      expect(await verdict(authenticator, known)).toBe('in');
      await cluster.stopApiServer();
      try {
        expect(await verdict(authenticator, known)).toBe('in');
        await expect(verdict(authenticator, unknown)).rejects.toThrow(AuthUnavailableError);
      } finally {
        await cluster.startApiServer();
      }
      expect(await verdict(authenticator, unknown)).toBe('in');
    });

    it('one kept in a Secret is refused with the reason', async () => {
      await client.create(SECRET, {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/service-account-token',
        metadata: {
          name: 'legacy',
          namespace: 'shop',
          annotations: { 'kubernetes.io/service-account.name': 'default' },
        },
      } as never);
      const token = await eventually('a token in the Secret', async () => {
        const { data } = await client.get<Pod & { data?: { token?: string } }>(SECRET, {
          namespace: 'shop',
          name: 'legacy',
        });
        return data?.token && Buffer.from(data.token, 'base64').toString();
      });
      const owner = await createPod(client, pod('token-3', '10.1.2.3'));
      expect(await verdict(world(owner), token)).toContain('invalid-claims: token belongs to no Pod');
    });
  });

  it.skipIf(envoy === undefined)(
    'an Envoy in a Pod gets listeners for ClusterIPs, and is sent away with its Pod',
    async () => {
      const [inbound, outbound] = [await freePort(), await freePort()];
      const db = await putService(client, 'shop', 'db', {
        clusterIP: 'None',
        selector: { app: 'db' },
        ports: [{ port: 5432, targetPort: 8080 }],
      });
      const web = await putService(client, 'shop', 'web', {
        selector: { app: 'web' },
        ports: [{ port: 80, targetPort: 8080, appProtocol: 'http' }],
      });
      await createPod(client, pod('db-0', '10.1.3.1', { app: 'db' }));
      const annotations = {
        'kuma.io/transparent-proxying-inbound-port': String(inbound),
        'kuma.io/transparent-proxying-outbound-port': String(outbound),
      };
      const made = await createPod(client, { ...pod('client', '10.1.3.2', { app: 'client' }), annotations });
      await dataplanes.until('both Dataplanes', () =>
        ['client', 'db-0'].every((name) => dataplanes.get(name) !== undefined),
      );
      const tokenFile = join(workDir, 'token');
      writeFileSync(tokenFile, await podToken(client, made, AUDIENCE));
      const { info } = controlPlane;
      await using proxy = startEnvoy({
        cpAddress: `https://localhost:${info.dataplanePort}`,
        caCert: info.caPem,
        flags: { name: 'client.shop', mesh: 'default', 'dataplane-token-file': tokenFile },
      });
      await proxy.ready(60_000);
      const listeners = await eventually('listeners', async () => {
        const { body } = await proxy.admin('/listeners?format=json');
        const names = (JSON.parse(body) as { listener_statuses: { name: string }[] }).listener_statuses.map(
          ({ name }) => name,
        );
        return names.includes('outbound:10.1.3.1:8080') ? names : undefined;
      });
      expect(db.spec?.clusterIP).toBe('None');
      expect(listeners).toContain(`outbound:${web.spec?.clusterIP}:80`);
      const clusters = (await proxy.admin('/clusters')).body;
      expect(clusters).toContain('web_shop_svc_80::10.1.0.1:8080');

      await client.delete(POD, { namespace: 'shop', name: 'client' });
      const start = performance.now();
      await eventually(
        'the stream ends with the Pod',
        async () => /control_plane\.connected_state: 0/.test((await proxy.admin('/stats?filter=connected_state')).body),
        60_000,
      );
      report(`Pod deleted to stream ended: ${Math.round(performance.now() - start)} ms`);
    },
  );

  it('after the API server was away, Pods are followed again, and no Dataplane was lost', async () => {
    const before = (await client.list(DATAPLANE, { namespace: 'shop' })).items.length;
    await cluster.stopApiServer();
    await cluster.startApiServer();
    await createPod(client, pod('after', '10.1.4.1'));
    await dataplanes.until('Pods are followed again', () => dataplanes.get('after') !== undefined, 60_000);
    expect((await client.list(DATAPLANE, { namespace: 'shop' })).items).toHaveLength(before + 1);
  });

  it('many Pods at once: one write each', async () => {
    // WEFT_TEST_PODS=1000 gives the figures of docs/performance.md.
    const count = Number(process.env['WEFT_TEST_PODS'] ?? 200);
    await controlPlane[Symbol.asyncDispose]();
    const env = controlPlaneEnv(cluster.kubeconfig, workDir);
    const process_ = spawn(process.execPath, [WEFT, 'cp', 'run'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      await isReady(process_);
      await putService(client, 'crowd', 'web', { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] });
      const crowd = await followDataplanes(client, 'crowd');
      const used = () => cpuSeconds(process_.pid!);
      const [cpuBefore, memoryBefore] = [used(), residentMiB(process_.pid!)];
      const logged = cluster.audit!.events().length;
      const start = performance.now();
      const names = Array.from({ length: count }, (_, n) => ({
        namespace: 'crowd',
        name: `p${n}`,
        ip: `10.2.${n >> 8}.${n & 255}`,
      }));
      const queue = [...names];
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          for (let next = queue.pop(); next !== undefined; next = queue.pop()) await createPod(client, next);
        }),
      );
      const created = performance.now();
      await crowd.until('all Dataplanes', () => crowd.size() === count, 60_000);
      const done = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const writes = cluster
        .audit!.events()
        .slice(logged)
        .filter(
          ({ verb, objectRef, responseStatus }) =>
            objectRef?.resource === 'dataplanes' &&
            /^(create|update|patch|delete)$/.test(verb) &&
            (responseStatus?.code ?? 0) < 300,
        );
      report(
        `${count} Pods: created in ${((created - start) / 1000).toFixed(1)} s, all Dataplanes ${Math.round(done - created)} ms later, ${writes.length} writes, ` +
          `control plane ${(used() - cpuBefore).toFixed(2)} CPU-seconds, ${memoryBefore} to ${residentMiB(process_.pid!)} MiB resident`,
      );
      await crowd.close();
      expect(writes).toHaveLength(count);
    } finally {
      const ended = once(process_, 'exit');
      process_.kill();
      await ended;
    }
  }, 300_000);
});

/** Resolves when the control plane says that it is ready; rejects with what it said when it ends before, or takes longer than two minutes. */
async function isReady(process_: ChildProcess): Promise<void> {
  const said: string[] = [];
  const ready = Promise.withResolvers<void>();
  const failed = (what: string) => ready.reject(new Error(`the control plane ${what}:\n${said.slice(-20).join('\n')}`));
  createInterface({ input: process_.stderr! }).on('line', (line) => {
    if (line.includes('is ready')) ready.resolve();
    else said.push(line);
  });
  process_.once('exit', (code) => failed(`ended with ${code}`));
  const timer = setTimeout(failed, 120_000, 'is not ready after two minutes');
  await ready.promise.finally(() => clearTimeout(timer));
}

/** User and system time of a process. Source: proc(5). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Source: proc(5). */
function residentMiB(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
}
