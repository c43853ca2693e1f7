/** F9 of docs/reliability.md: a CA that comes to its end in use, and a backend that is taken away while it issues. */
import { expect, it } from 'vitest';
import { eventually } from '../../src/testing/envoy.ts';
import { type ControlPlaneFixture, startControlPlane } from './control-plane-fixture.ts';

const SECONDS = 90_000;
const NAMES = ['web-1', 'api-1'];

const mesh = (enabledBackend: string, ...backends: object[]) => ({
  type: 'Mesh',
  name: 'default',
  mtls: { enabledBackend, backends },
});
const shortLived = {
  name: 'ca-1',
  type: 'builtin',
  conf: { caCert: { expiration: '30s' } },
  dpCert: { rotation: { expiration: '8s' } },
};

interface Presented {
  readonly root: string;
  readonly notAfter: string;
}

interface Seen {
  readonly roots: readonly { readonly fingerprint: string; readonly notAfter: string; readonly current: boolean }[];
  readonly presented: readonly (Presented | undefined)[];
}

async function look(plane: ControlPlaneFixture): Promise<Seen> {
  const { backends } = await plane.api('GET', '/meshes/default/_mtls');
  const presented = await Promise.all(
    NAMES.map(async (name) => {
      const overview = await plane.api('GET', `/meshes/default/dataplanes/${name}/_overview`);
      const { dataplaneInsight } = overview as {
        dataplaneInsight?: { weft?: { acknowledged?: { certificate?: Presented } } };
      };
      return dataplaneInsight?.weft?.acknowledged?.certificate;
    }),
  );
  return { roots: (backends as Seen[]).flatMap(({ roots }) => roots), presented };
}

it('F9 builtin: a CA of 30 s is followed by the next one in time: no leaf outlives its CA, and none is missing', async () => {
  await using plane = await startControlPlane();
  await eventually('the mesh', async () => (await plane.ask('GET', '/meshes/default')).ok, SECONDS);
  await plane.api('PUT', '/meshes/default', mesh('ca-1', shortLived));
  for (const name of NAMES) await plane.connect({ name, service: name.slice(0, -2) });
  const first = await eventually(
    'both present a certificate',
    async () => {
      const seen = await look(plane);
      return seen.presented.every((one) => one !== undefined) && seen;
    },
    SECONDS,
  );
  const firstRoot = first.roots[0]!.fingerprint;
  await eventually(
    'both present a certificate of the next CA, and the first one is not trusted any more',
    async () => {
      const { roots, presented } = await look(plane);
      for (const one of presented) {
        expect(Date.parse(one!.notAfter)).toBeGreaterThan(Date.now());
        const ca = roots.find(({ fingerprint }) => fingerprint.replaceAll(':', '').toLowerCase() === one!.root);
        if (ca !== undefined) expect(Date.parse(one!.notAfter)).toBeLessThanOrEqual(Date.parse(ca.notAfter));
      }
      return roots.length > 0 && roots.every(({ fingerprint }) => fingerprint !== firstRoot);
    },
    SECONDS,
  );
  expect(await plane.api('GET', '/meshes/default/_ca-rotation')).toMatchObject({
    kind: 'renew',
    startedBy: 'control plane',
  });
}, 180_000);

it('F9 all: a backend that issues, or is being left, cannot be taken off the Mesh', async () => {
  await using plane = await startControlPlane();
  await eventually('the mesh', async () => (await plane.ask('GET', '/meshes/default')).ok, SECONDS);
  const [one, two] = ['ca-1', 'ca-2'].map((name) => ({ name, type: 'builtin' }));
  await plane.api('PUT', '/meshes/default', mesh('ca-1', one!, two!));
  for (const name of NAMES) await plane.connect({ name, service: name.slice(0, -2) });
  await eventually('both present a certificate', async () => (await look(plane)).presented.every(Boolean), SECONDS);
  for (const [what, body] of [
    ['the one that issues', mesh('ca-1', two!)],
    ['the one that issues, for the other', mesh('ca-2', two!)],
  ] as const) {
    const answer = await plane.ask('PUT', '/meshes/default', body);
    expect([what, answer.status]).toEqual([what, 400]);
    expect(await answer.text()).toContain('mtls.');
  }
  expect(await plane.api('GET', '/meshes/default')).toMatchObject({
    mtls: { enabledBackend: 'ca-1', backends: [{}, {}] },
  });
}, 120_000);
