/**
 * F8 of docs/reliability.md: every change of a CA there is, each walked to its end, while two Envoys serve 200 requests a second, each over a connection and a
 * handshake of its own, without retries. Every answer is counted. `WEFT_F8_REQUESTS=100000` goes round until so many were answered.
 */
import { expect } from 'vitest';
import { createTestCa, type TestCertificate } from '../../src/testing/certificates.ts';
import { eventually, http, startTraffic, type TestMesh } from './mesh.ts';

const PER_SECOND = 200;
const WANTED = Number(process.env['WEFT_F8_REQUESTS'] ?? 0);
/** A CA that lives as long as a test does at the most. */
const DAY_MS = 86_400_000;
const WAIT_MS = 60_000;
const PROXIES = ['web-1', 'api-1'];

/** Time limit of a test that runs it. Milliseconds. */
export const CA_CHANGES_TIMEOUT_MS = Math.max(600_000, (WANTED / PER_SECOND) * 2000);

export interface Backend {
  readonly name: string;
  readonly type: string;
  readonly conf?: object;
}

/** A `provided` backend, whose Secrets are written by `changeCas`. */
export const COMPANY: Backend = {
  name: 'company',
  type: 'provided',
  conf: { cert: { secret: 'ca-cert' }, key: { secret: 'ca-key' } },
};

export interface ChangingMesh {
  /** With a control plane that runs, and Mesh `default`. */
  readonly mesh: TestMesh;
  /** At least two builtin ones first, and `COMPANY`. */
  readonly backends: readonly Backend[];
  /** Writes the Mesh, as a person does. */
  putMtls(mtls: object): Promise<void>;
  /** Writes a Secret of the Mesh. */
  putSecret(name: string, text: string): Promise<void>;
}

interface Change {
  readonly what: string;
  readonly run: () => Promise<void>;
}

/** Starts both proxies and the traffic, changes the CA round and round, and expects that nothing failed. Prints what was done. */
export async function changeCas(world: ChangingMesh): Promise<void> {
  const { mesh, backends } = world;
  const changes = await prepareChanges(world);
  await world.putMtls({ enabledBackend: backends[0]!.name, backends });
  const service = await mesh.startService('api');
  // Not `http`: Envoy would keep one connection, and one handshake, for all requests.
  const protocol = 'tcp';
  await mesh.startProxy({ name: 'api-1', service: 'api', servicePort: service.port, protocol });
  const web = await mesh.startProxy({ name: 'web-1', service: 'web', calls: ['api'], protocol });
  const url = `http://127.0.0.1:${web.outbounds.get('api')}/`;
  await eventually('web reaches api', WAIT_MS, async () => (await http(url)).status === 200);
  const handshakes = async () => {
    const { body } = await mesh.api('GET', '/meshes/default/dataplanes/web-1/stats');
    return Number(/^cluster\.api[^:]*\.ssl\.handshake: (\d+)/m.exec(body)?.[1] ?? 0);
  };
  const before = await handshakes();

  const traffic = startTraffic(url, PER_SECOND);
  const done: string[] = [];
  for (let round = 1; round === 1 || traffic.ok() < WANTED; round += 1) {
    for (const { what, run } of changes) {
      const since = traffic.ok();
      const started = performance.now();
      await run();
      done.push(`${what}: ${traffic.ok() - since} requests, ${((performance.now() - started) / 1000).toFixed(1)} s`);
    }
  }
  const result = await traffic.stop();
  const made = (await handshakes()) - before;
  console.info(`${done.join('\n')}\n${result.sent} requests, ${made} handshakes, ${result.failures.length} failed`);
  expect(result.failures).toEqual([]);
  expect(result.ok).toBe(result.sent);
  expect(made).toBeGreaterThanOrEqual(result.sent * 0.99);
}

/** Each backend in turn and back to the first, the provided CA renewed in between, the old CA dropped, a change taken back, the builtin one renewed, the control plane killed. */
async function prepareChanges(world: ChangingMesh): Promise<readonly Change[]> {
  const { mesh, backends } = world;
  const [first, second] = backends.map(({ name }) => name) as [string, string];
  /** The provided CA: an intermediate below a root. */
  let root: TestCertificate;

  /** Puts another CA into the Secrets of the provided backend: the key first, so that for a moment they are no pair. */
  async function provide(intermediate: string): Promise<void> {
    const ca = await createTestCa({ subject: `CN=${intermediate}`, issuer: root, to: DAY_MS });
    await world.putSecret('ca-key', ca.keyPem);
    await world.putSecret('ca-cert', ca.pem + root.pem);
  }

  /** Walks a rotation to its end. */
  async function rotate(request: { to?: string; renew?: boolean; dropOld?: boolean }): Promise<void> {
    await mesh.ok('POST', '/meshes/default/_ca-rotation', request);
    let last: object | undefined;
    await eventually(`rotation ${JSON.stringify(request)} is done`, WAIT_MS, async () => {
      last = await mesh.ok('GET', '/meshes/default/_ca-rotation');
      return (last as { ended: boolean }).ended;
    }).catch((error: unknown) => Promise.reject(new Error(`${error}: ${JSON.stringify(last)}`)));
    expect(last).toMatchObject({ phase: 'Done', progress: { total: { proxies: 2, connected: 2, renewed: 2 } } });
  }

  /** Until both present, by their own word, a certificate that differs in `field` from the one before `change`. */
  async function andAnother(field: 'root' | 'serial', change: () => Promise<void>): Promise<void> {
    const presented = () => Promise.all(PROXIES.map(async (name) => (await presentedBy(mesh, name))?.[field]));
    const before = await presented();
    await change();
    await eventually(`both present another ${field}`, WAIT_MS, async () =>
      (await presented()).every((now, index) => now !== undefined && now !== before[index]),
    );
  }

  const to = (name: string): Change => ({ what: `to ${name}`, run: () => rotate({ to: name }) });
  const renewals: readonly Change[] = [
    {
      what: 'the intermediate of the provided CA is renewed',
      run: () =>
        andAnother('serial', async () => {
          await provide('the next intermediate');
          for (const name of PROXIES)
            await mesh.ok('POST', `/meshes/default/dataplanes/${name}/_certificate/_renew`, {});
        }),
    },
    {
      what: 'the root of the provided CA is renewed',
      run: () =>
        andAnother('root', async () => {
          root = await createTestCa({ subject: 'CN=the next root', to: DAY_MS });
          await provide('intermediate');
        }),
    },
  ];
  root = await createTestCa({ subject: 'CN=root', to: DAY_MS });
  await provide('intermediate');
  return [
    ...backends.slice(1).flatMap((backend) => [to(backend.name), ...(backend === COMPANY ? renewals : [])]),
    to(first),
    {
      what: `to ${second}, and ${first} is not trusted any more`,
      async run() {
        await rotate({ to: second, dropOld: true });
        const { mtls } = await mesh.ok('GET', '/meshes/default');
        expect(mtls.backends.map(({ name }: Backend) => name)).not.toContain(first);
      },
    },
    {
      what: `to ${first}, which is listed again`,
      async run() {
        await world.putMtls({ enabledBackend: second, backends });
        await rotate({ to: first });
      },
    },
    {
      what: `to ${second}, and taken back halfway`,
      async run() {
        await mesh.ok('POST', '/meshes/default/_ca-rotation', { to: second });
        await eventually('certificates are replaced', WAIT_MS, async () => {
          const { phase } = await mesh.ok('GET', '/meshes/default/_ca-rotation');
          return phase !== 'Trusting';
        });
        const back = await mesh.api('DELETE', '/meshes/default/_ca-rotation');
        // On a slow machine it may be through before that is noticed.
        if (back.status === 404) await rotate({ to: first });
        await eventually('the first one issues again', WAIT_MS, async () => {
          const { ended } = await mesh.ok('GET', '/meshes/default/_ca-rotation');
          return ended && (await mesh.ok('GET', '/meshes/default')).mtls.enabledBackend === first;
        });
      },
    },
    { what: 'the builtin CA is renewed', run: () => rotate({ renew: true }) },
    {
      what: 'there and, begun and killed with -9, back again',
      async run() {
        await rotate({ to: second });
        await mesh.ok('POST', '/meshes/default/_ca-rotation', { to: first });
        await mesh.stopControlPlane('SIGKILL');
        await mesh.startControlPlane();
        await eventually('the rotation goes on', WAIT_MS, async () => {
          const { phase } = await mesh.ok('GET', '/meshes/default/_ca-rotation');
          return phase === 'Done';
        });
        expect((await mesh.ok('GET', '/meshes/default')).mtls.enabledBackend).toBe(first);
      },
    },
  ];
}

async function presentedBy(mesh: TestMesh, name: string): Promise<{ root: string; serial: string } | undefined> {
  const { dataplaneInsight } = await mesh.ok('GET', `/meshes/default/dataplanes/${name}/_overview`);
  return dataplaneInsight?.weft?.acknowledged?.certificate;
}
