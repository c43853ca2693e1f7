/**
 * `weft up`: a whole mesh on one machine, so that a person sees certificates rotate.
 *
 *     this process ── control plane (weft cp run, SQLite in a temporary folder)
 *       │          ── service web, service api (plain HTTP programs)
 *       │          ── weft dp run ── Envoy, one pair for each service
 *       └── load: ──> web ──> Envoy of web ══ mTLS ══> Envoy of api ──> api
 */
import { findEnvoy } from '../dataplane/envoy-binary.ts';
import type { EnvoyBinary } from '../dataplane/envoy-version.ts';
import { createEnvoyProgress } from '../dataplane/progress.ts';
import { MESH } from './documents.ts';
import { DemoError } from './error.ts';
import { createDemoMesh, type DemoMesh } from './mesh.ts';
import { createObserver, readOverviews, rotationsOf } from './observe.ts';
import { tryPlaintext, tryStranger } from './refusals.ts';
import { createDemoScreen, type DemoScreen, type DemoTerminal, timed } from './screen.ts';
import { startTraffic, type TrafficReport } from './traffic.ts';
import { watchRotations } from './watch.ts';

export interface DemoOptions {
  /** Stop after so many rotations of every proxy's certificate; `undefined`: run until told to stop. */
  readonly rotations: number | undefined;
  /** Life of a leaf: a Kuma duration, and the same in milliseconds. */
  readonly lifetime: string;
  readonly lifetimeMs: number;
  readonly requestsPerSecond: number;
  readonly keepFiles: boolean;
  /** '': PATH, cache or download. */
  readonly binaryPath: string;
}

export interface DemoSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: DemoTerminal;
  readonly signal: AbortSignal;
}

/** What happened, for people and programs. */
export interface DemoSummary {
  /** `complete`: all rotations seen. `stopped`: told to stop before that. */
  readonly end: 'complete' | 'stopped';
  readonly seconds: number;
  readonly controlPlaneReadyMs: number;
  /** From the start of both proxies to the first answer through them. */
  readonly firstAnswerMs: number;
  readonly refused: { readonly plaintext: string; readonly stranger: string };
  readonly proxies: readonly {
    readonly name: string;
    readonly spiffeId: string;
    readonly rotations: number;
    readonly serials: readonly string[];
  }[];
  readonly requests: TrafficReport;
}

const LOOK_EVERY_MS = 250;

/**
 * Runs the demo to its end; then no process and no file of it is left. `undefined`: told to stop before traffic began.
 * Errors: `DemoError`, `DataplaneError` (no Envoy).
 */
export async function runDemo(options: DemoOptions, surroundings: DemoSurroundings): Promise<DemoSummary | undefined> {
  const { signal, terminal } = surroundings;
  const startedAt = performance.now();
  const screen = createDemoScreen(terminal);
  try {
    const envoy = await timed(
      screen,
      ({ version, path }: EnvoyBinary) => `Envoy ${version}: ${path}`,
      () =>
        findEnvoy({
          binaryPath: options.binaryPath,
          env: surroundings.env,
          signal,
          onProgress: createEnvoyProgress(terminal),
        }),
    );
    await using mesh = await createDemoMesh({ env: surroundings.env, keepFiles: options.keepFiles, signal });
    if (options.keepFiles) screen.line(`  files: ${mesh.dir}`);
    const start = await startMesh(mesh, screen, options, envoy.path);
    await using traffic = startTraffic({
      // Half of the requests make a new mTLS connection each, half keep theirs over every rotation.
      url: ['kept', 'fresh'].map((path) => `http://127.0.0.1:${mesh.ports.webService}/${path}`),
      perSecond: options.requestsPerSecond,
      keepAlive: true,
    });
    screen.line(`  ${options.requestsPerSecond} requests a second: load → web → Envoy ══ mTLS ══ Envoy → api`);
    const readInsights = () => mesh.api.get(`/meshes/${MESH}/dataplanes/_overview`).then(readOverviews);
    const observer = createObserver(readInsights, mesh.proxies);
    const { rotations, lifetime, lifetimeMs } = options;
    const end = await watchRotations({
      observer,
      traffic: traffic.report,
      screen,
      terminal,
      rotations,
      lifetime,
      lifetimeMs,
      lookEveryMs: LOOK_EVERY_MS,
      failed: mesh.failed,
      signal,
    });
    const requests = await traffic.stop();
    screen.keep();
    return {
      end,
      seconds: Math.round(performance.now() - startedAt) / 1000,
      ...start,
      proxies: observer.views().map((view) => ({
        name: view.name,
        spiffeId: view.certificate?.spiffeId ?? '',
        rotations: rotationsOf(view),
        serials: view.serials,
      })),
      requests,
    };
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

type Start = Pick<DemoSummary, 'controlPlaneReadyMs' | 'firstAnswerMs' | 'refused'>;

async function startMesh(mesh: DemoMesh, screen: DemoScreen, options: DemoOptions, envoyPath: string): Promise<Start> {
  const { ports } = mesh;
  const beforeControlPlane = performance.now();
  await timed(screen, `control plane: ${mesh.api.url}`, () => mesh.startControlPlane());
  const controlPlaneReadyMs = Math.round(performance.now() - beforeControlPlane);
  await timed(
    screen,
    `mesh ${MESH}: mTLS STRICT, builtin CA, certificates that live ${options.lifetime}; web may call api`,
    () => mesh.applyResources(options.lifetime),
  );
  await timed(screen, `services: web on port ${ports.webService}, api on port ${ports.apiService}`, () =>
    mesh.startServices(),
  );
  const firstAnswerMs = Math.round(
    await timed(screen, 'proxies: first answer of api to web over mTLS', () => mesh.startProxies(envoyPath)),
  );

  const plaintext = await timed(
    screen,
    (reason: string) => `plaintext to api refused: ${reason}`,
    async () => reasonOf(await tryPlaintext(ports.apiInbound), 'plaintext'),
  );
  const stranger = await timed(
    screen,
    (reason: string) => `self-signed certificate for spiffe://${MESH}/web refused: ${reason}`,
    async () =>
      reasonOf(
        await tryStranger({
          port: ports.apiInbound,
          spiffeId: `spiffe://${MESH}/web`,
          serverSpiffeId: `spiffe://${MESH}/api`,
          meshCa: await mesh.meshCa(),
          now: Date.now(),
        }),
        "a stranger's certificate",
      ),
  );
  return { controlPlaneReadyMs, firstAnswerMs, refused: { plaintext, stranger } };
}

function reasonOf(outcome: Awaited<ReturnType<typeof tryPlaintext>>, what: string): string {
  if (outcome.kind === 'refused') return outcome.reason;
  throw new DemoError(
    'not_protected',
    `call api with ${what}: it was served (${outcome.answer}), but the mesh is STRICT`,
  );
}
