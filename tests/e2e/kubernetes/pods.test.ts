/** What an injected Pod is: order, probes, addresses, identity, what the annotations do, and what runs in it. Beside it a second mesh that is broken all the time. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingCluster, usesOwnCluster } from '../../cluster/binaries.ts';
import { http } from '../mesh.ts';
import {
  ALLOW_ALL,
  APP_PORT,
  appContainer,
  createTestCa,
  createWorld,
  eventually,
  pageMesh,
  SHOP,
  STATS_PORT,
  type World,
} from './world.ts';

const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const API = `http://api.${SHOP}:${APP_PORT}/`;
const PROXY_USER = 5678;
/** Port and control port of each probed container. */
const PROBED = { http: [8081, 9981], tcp: [8082, 9982], grpc: [8083, 9983] } as const;
type ProbeKind = keyof typeof PROBED;

describe.skipIf(missing !== undefined)(`injected Pods${missing === undefined ? '' : ` (${missing})`}`, () => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld();
    await world.applyIssuer({ name: 'my-ca-issuer', ca: await createTestCa({ subject: 'CN=pods-ca', uriSans: [] }) });
    await world.apply(
      pageMesh({ conf: { issuerRef: { name: 'my-ca-issuer' } } }),
      pageMesh({ name: 'broken', conf: { issuerRef: { name: 'nobody' } } }),
      ALLOW_ALL,
    );
    const client = ['client', String(STATS_PORT), '0'];
    const server = ['server', String(APP_PORT)];
    await Promise.all([
      world.deploy({ name: 'api', count: 1, args: server }),
      world.deploy({ name: 'web', count: 1, args: client }),
      world.deploy({ name: 'lonely', count: 1, args: client, service: false }),
      world.deploy({
        name: 'around',
        count: 1,
        args: client,
        annotations: { 'traffic.kuma.io/exclude-outbound-ports': String(APP_PORT) },
      }),
      world.deploy({
        name: 'edge',
        count: 1,
        args: client,
        // Nothing of what comes in is redirected, so there is nothing to leave out.
        annotations: { 'kuma.io/gateway': 'enabled', 'traffic.kuma.io/exclude-inbound-ports': '1' },
      }),
      world.deploy({ name: 'plain', count: 1, args: client, labels: { 'kuma.io/sidecar-injection': 'disabled' } }),
      world.apply(probedService, probedPod, headlessService, headlessPod, strayedService, strayedPod),
    ]);
    const wait = (...args: string[]) => world.cluster.kubectl('-n', SHOP, 'wait', '--timeout=120s', ...args);
    await wait('--for=condition=Ready', 'pod/probed', 'pod/db-0');
    await world.apply(job);
    await wait('--for=condition=Complete', 'job/first');
  }, 1_500_000);

  afterAll(() => world?.close(), 60_000);

  /** SPIFFE ID that the server at `url` sees of a client. */
  async function identityOf(app: string, url = API): Promise<string> {
    const answer = await world.call(app, url);
    expect(answer, `${app} calls ${url}`).toMatchObject({ status: 200 });
    return JSON.parse(answer.body!).clientCertificate;
  }

  const onlyPod = async (app: string) => (await world.pods(app))[0]!;
  const wholePod = async (name: string) => world.json('-n', SHOP, 'get', 'pod', name);

  it('lets an application call its peer as its first act, and its Job finish', async () => {
    const answer = JSON.parse(await world.cluster.kubectl('-n', SHOP, 'logs', 'job/first', '-c', 'app'));
    expect(answer.clientCertificate).toContain('URI=spiffe://default/');
    const [pod] = (await world.json('-n', SHOP, 'get', 'pods', '-l', 'job-name=first')).items;
    const states = [...pod.status.initContainerStatuses, ...pod.status.containerStatuses].map(
      ({ name, state }: { name: string; state: { terminated: object } }) => ({ name, ...state.terminated }),
    );
    expect(states.map(({ name }) => name)).toEqual(['kuma-init', 'kuma-bootstrap', 'kuma-sidecar', 'app']);
    const [init, bootstrap, sidecar, app] = states as unknown as { startedAt: string; finishedAt: string }[];
    // Whole seconds; RFC 3339 sorts as text.
    expect(init!.finishedAt <= bootstrap!.startedAt).toBe(true);
    expect(bootstrap!.finishedAt <= sidecar!.startedAt).toBe(true);
    expect(sidecar!.startedAt <= app!.startedAt).toBe(true);
    expect(app!.finishedAt <= sidecar!.finishedAt).toBe(true);
  });

  it.each<ProbeKind>(['http', 'tcp', 'grpc'])(
    'keeps a Pod with a %s probe ready, and not when the application says so',
    async (kind) => {
      const isReady = async () => {
        const { containerStatuses } = (await wholePod('probed')).status;
        return containerStatuses.find(({ name }: { name: string }) => name === kind).ready as boolean;
      };
      const { podIP } = (await wholePod('probed')).status;
      expect(await isReady()).toBe(true);
      await http(`http://${podIP}:${PROBED[kind][1]}/off`);
      await eventually(`${kind} is not ready`, 20_000, async () => !(await isReady()));
      await http(`http://${podIP}:${PROBED[kind][1]}/on`);
      await eventually(`${kind} is ready again`, 20_000, isReady);
    },
  );

  it('reaches a headless Service by its name, by the name of its Pod, and by the address of its Pod', async () => {
    const { podIP } = (await wholePod('db-0')).status;
    for (const host of [`db.${SHOP}`, `db-0.db.${SHOP}`, podIP]) {
      expect(await identityOf('web', `http://${host}:${APP_PORT}/`)).toContain(
        `URI=spiffe://default/web_${SHOP}_svc_${APP_PORT}`,
      );
    }
  });

  it('gives a Pod without a Service the identity of its workload, and lets it call', async () => {
    expect(await identityOf('lonely')).toContain(`URI=spiffe://default/lonely_${SHOP}_svc`);
  });

  it('leaves excluded outbound ports alone: the call arrives in plain text, and is refused', async () => {
    const answer = await world.call('around', API);
    expect(answer.status).toBeUndefined();
    expect(answer.error).toBeTruthy();
  });

  it('makes a delegated gateway: reached in plain text, part of the mesh for what it calls', async () => {
    expect(await identityOf('edge')).toContain(`URI=spiffe://default/edge_${SHOP}_svc`);
    const { metadata } = await onlyPod('edge');
    const { spec } = await world.json('-n', SHOP, 'get', 'dataplane.kuma.io', metadata.name);
    expect(spec.networking.gateway.tags['kuma.io/service']).toBe(`edge_${SHOP}_svc_${APP_PORT}`);
    expect(spec.networking.inbound).toBeUndefined();
  });

  it("lets a Pod's label win over its Namespace's", async () => {
    const { spec } = await wholePod((await onlyPod('plain')).metadata.name);
    expect(spec.containers).toHaveLength(1);
    expect(spec.initContainers).toBeUndefined();
    expect((await world.call('plain', API)).error).toBeTruthy();
  });

  it('keeps no right in the Pod but in the container that sets the redirect', async () => {
    const { spec } = await wholePod((await onlyPod('api')).metadata.name);
    const [init, ...others] = spec.initContainers;
    expect(init).toMatchObject({ name: 'kuma-init', securityContext: { capabilities: { drop: ['ALL'] } } });
    expect(others.map(({ name }: { name: string }) => name)).toEqual(['kuma-bootstrap', 'kuma-sidecar']);
    for (const { securityContext, resources } of others) {
      expect(securityContext).toMatchObject({
        runAsUser: PROXY_USER,
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
      expect(resources.requests).toMatchObject({ cpu: expect.any(String), memory: expect.any(String) });
    }
  });

  it.skipIf(usesOwnCluster())('runs Envoy alone, with a token that is meant for us only', async () => {
    const { status } = await wholePod((await onlyPod('api')).metadata.name);
    const { containerID } = status.initContainerStatuses.find(({ name }: { name: string }) => name === 'kuma-sidecar');
    const processes = processesOf(containerID.replace(/^.*:\/\//, ''));
    expect(processes.map(({ program, user }) => ({ program, user }))).toEqual([{ program: 'envoy', user: PROXY_USER }]);
    const [{ folder, residentKb, ownKb }] = processes as [Process];
    console.log(`Envoy in a Pod: ${mb(residentKb)} MB resident, ${mb(ownKb)} MB of it its own`);
    // A limit of 512 MiB by default; a hundred services fit far below.
    expect(residentKb).toBeLessThan(150_000);
    const token = readFileSync(`${folder}/root/var/run/secrets/weft/token`, 'utf8');
    const { aud, exp, iat } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
    expect(aud).toEqual(['weft-control-plane']);
    expect(exp - iat).toBe(3600);
  });

  it('says what is wrong with another mesh, which never touched this one', async () => {
    const conditions = async (mesh: string) => {
      const { status } = await world.json('get', 'mesh', mesh);
      return status?.conditions?.find(({ type }: { type: string }) => type === 'Ready');
    };
    const broken = await eventually('the Mesh says so', 30_000, async () => {
      const one = await conditions('broken');
      return one?.status === 'False' && one;
    });
    expect(broken.message).toContain('nobody');
    expect(await conditions('default')).toMatchObject({ status: 'True' });
    // Waits for its certificate; the application was not started without.
    const { status } = await wholePod('strayed');
    expect(status.containerStatuses[0].started).toBe(false);
    expect(await identityOf('web')).toContain('URI=spiffe://default/');
  });
});

interface Process {
  /** In /proc. */
  readonly folder: string;
  readonly program: string;
  readonly user: number;
  readonly residentKb: number;
  /** Private memory. */
  readonly ownKb: number;
}

/** Processes in a container of this machine, found by its cgroup. */
function processesOf(containerId: string): readonly Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const folder = `/proc/${name}`;
      try {
        if (!readFileSync(`${folder}/cgroup`, 'utf8').includes(containerId)) return [];
        const rollup = readFileSync(`${folder}/smaps_rollup`, 'utf8');
        const kb = (field: string) => Number(new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(rollup)?.[1]);
        return [
          {
            folder,
            program: basename(readlinkSync(`${folder}/exe`)),
            user: statSync(folder).uid,
            residentKb: kb('Rss'),
            ownKb: kb('Private_Clean') + kb('Private_Dirty'),
          },
        ];
      } catch {
        // It has ended since.
        return [];
      }
    });
}

const mb = (kb: number) => Math.round(kb / 1024);

function pod(
  name: string,
  containers: readonly object[],
  more: { labels?: object; annotations?: object; spec?: object },
) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: SHOP, labels: { app: name, ...more.labels }, annotations: more.annotations },
    spec: { ...podSpec(containers), ...more.spec },
  };
}

function podSpec(containers: readonly object[]): object {
  return {
    terminationGracePeriodSeconds: 3,
    securityContext: { runAsUser: 1000, runAsGroup: 1000 },
    containers,
    volumes: [{ name: 'app', configMap: { name: 'pod-app' } }],
  };
}

const job = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'first', namespace: SHOP },
  spec: {
    backoffLimit: 0,
    template: { spec: { ...podSpec([appContainer({ args: ['once', API] })]), restartPolicy: 'Never' } },
  },
};

const PROBES: Readonly<Record<ProbeKind, object>> = {
  http: { httpGet: { port: PROBED.http[0], path: '/any' } },
  tcp: { tcpSocket: { port: PROBED.tcp[0] } },
  grpc: { grpc: { port: PROBED.grpc[0] } },
};

const probedPod = pod(
  'probed',
  Object.entries(PROBED).map(([kind, [port, control]]) =>
    appContainer({
      name: kind,
      args: ['probed', kind, String(port), String(control)],
      port,
      readinessProbe: { ...PROBES[kind as ProbeKind], periodSeconds: 1, failureThreshold: 1 },
    }),
  ),
  { annotations: { 'traffic.kuma.io/exclude-inbound-ports': '9981-9983' } },
);

function service(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: SHOP }, spec };
}

const appPorts = [{ name: 'http', port: APP_PORT, appProtocol: 'http' }];
/** With it the ports are inbounds, which ask for mTLS. */
const probedService = service('probed', {
  selector: { app: 'probed' },
  ports: Object.entries(PROBED).map(([kind, [port]]) => ({ name: kind, port, appProtocol: kind })),
});
const headlessService = service('db', { clusterIP: 'None', selector: { app: 'db-0' }, ports: appPorts });
const strayedService = service('strayed', { selector: { app: 'strayed' }, ports: appPorts });

const server = { args: ['server', String(APP_PORT)], port: APP_PORT };
const headlessPod = pod('db-0', [appContainer(server)], { spec: { hostname: 'db-0', subdomain: 'db' } });
const strayedPod = pod('strayed', [appContainer(server)], { labels: { 'kuma.io/mesh': 'broken' } });
