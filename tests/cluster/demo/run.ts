/**
 * The page in one command: an Issuer of cert-manager, Weft, the page's Mesh, two services, and certificates that rotate before one's eyes.
 *
 *   this process ── cluster of tests/cluster, or the one of KUBECONFIG
 *     ├── kubectl apply: Issuer, `weft install control-plane`, Mesh, `weft install demo`
 *     ├── port-forward ──> Envoy of web, Envoy of api: which certificate do they hold?
 *     └── port-forward ──> web: how did its requests go?  web ──> Envoy ══ mTLS ══> Envoy ──> api
 */
import { callHttp } from '../../../src/demo/api.ts';
import { DemoError } from '../../../src/demo/error.ts';
import { createObserver, rotationsOf } from '../../../src/demo/observe.ts';
import { createDemoScreen, type DemoScreen, type DemoTerminal, timed } from '../../../src/demo/screen.ts';
import type { TrafficReport } from '../../../src/demo/traffic.ts';
import { watchRotations } from '../../../src/demo/watch.ts';
import { waitFor } from '../../../src/lib/wait.ts';
import type { Cluster } from '../cluster.ts';
import { DEMO_NAMESPACE, pageMesh, SYSTEM_NAMESPACE, strangerPod } from './documents.ts';
import { forwardPort } from './forward.ts';
import { insightReader, proxiesOf } from './proxies.ts';
import type { WeftCommand } from './weft.ts';

export interface KubernetesDemoOptions {
  /** Stop after so many rotations of every certificate; `undefined`: run until told to stop. */
  readonly rotations: number | undefined;
  /** Life of a leaf once traffic runs: a Kuma duration, and the same in milliseconds. */
  readonly lifetime: string;
  readonly lifetimeMs: number;
}

export interface KubernetesDemoSurroundings {
  readonly cluster: Cluster;
  readonly weft: WeftCommand;
  /** Image of the control plane, as Pods name it. */
  readonly image: string;
  readonly terminal: DemoTerminal;
  readonly signal: AbortSignal;
}

const ROLLOUT = '--timeout=180s';
const ADMIN_PORT = 9901;
const SERVICE_PORT = 8080;
/** Each look is three new connections through the API server. */
const LOOK_EVERY_MS = 500;

/** Runs the demo to its end; what it applied stays. Throws `DemoError`, and what kubectl says. */
export async function runKubernetesDemo(
  options: KubernetesDemoOptions,
  surroundings: KubernetesDemoSurroundings,
): Promise<TrafficReport> {
  const { cluster, signal, terminal } = surroundings;
  const screen = createDemoScreen(terminal);
  const ca = await install(screen, surroundings);
  await using web = await forwardPort({
    cluster,
    namespace: DEMO_NAMESPACE,
    target: 'deployment/web',
    port: SERVICE_PORT,
  });
  const webUrl = `http://127.0.0.1:${web.port}`;
  await timed(screen, 'first answer of api to web over mTLS', () =>
    until('web reaches api', 60_000, signal, async () => (await callHttp(`${webUrl}/fresh`, 'GET')).status === 200),
  );
  await timed(
    screen,
    (why: string) => `a Pod without a sidecar is refused by api: ${why}`,
    () => tryStranger(surroundings),
  );
  await timed(screen, `the Mesh asks for certificates that live ${options.lifetime}: all are issued anew`, () =>
    cluster.applyYaml(pageMesh(ca, options.lifetime)),
  );

  await using proxies = await proxiesOf(cluster, DEMO_NAMESPACE, ADMIN_PORT);
  await using insights = await insightReader(cluster.kubeconfig, DEMO_NAMESPACE);
  const observer = createObserver(insights.read, proxies.watched);
  await callHttp(`${webUrl}/traffic`, 'POST');
  screen.line('  50 requests a second: web → Envoy ══ mTLS ══ Envoy → api');
  const traffic = async () => JSON.parse((await callHttp(`${webUrl}/traffic`, 'GET')).body) as TrafficReport;
  await watchRotations({
    ...options,
    observer,
    traffic,
    screen,
    terminal,
    signal,
    lookEveryMs: LOOK_EVERY_MS,
    failed: Promise.race([web.failed, proxies.failed]),
  });
  screen.keep();
  const report = await traffic();
  screen.line(`\n${report.ok} requests ok, ${report.failed} failed, slowest ${Math.round(report.slowestMs)} ms`);
  for (const view of observer.views()) {
    screen.line(
      `${view.name}: ${view.certificate?.spiffeId ?? '-'}, signed by ${view.insight?.issuer ?? '-'}, ${rotationsOf(view)} rotations`,
    );
  }
  return report;
}

/** Everything up to two services that run. Gives the certificate of the CA. */
async function install(screen: DemoScreen, { cluster, weft, image }: KubernetesDemoSurroundings): Promise<string> {
  const system = ['--namespace', SYSTEM_NAMESPACE];
  const demo = ['--namespace', DEMO_NAMESPACE];
  await timed(screen, 'Issuer my-ca-issuer of cert-manager, with a CA of its own: Ready', async () => {
    await cluster.kubectl('create', 'namespace', SYSTEM_NAMESPACE);
    await cluster.kubectl('apply', '-f', 'docs/examples/kubernetes/ca-issuer.yaml');
    await cluster.kubectl(
      ...system,
      'wait',
      '--for=condition=Ready',
      '--timeout=60s',
      'certificate/my-ca',
      'issuer/my-ca-issuer',
    );
  });
  await timed(screen, 'weft install control-plane | kubectl apply: ready', async () => {
    const manifests = await weft('install', 'control-plane', '--control-plane-image', image);
    await cluster.applyYaml(manifests, '--server-side');
    await cluster.kubectl(...system, 'rollout', 'status', 'deployment/weft-control-plane', ROLLOUT);
  });
  const ca = await timed(screen, "the page's Mesh: certmanager-1, certificates that live 24h", async () => {
    const secret = await cluster.kubectl(...system, 'get', 'secret', 'my-ca', '-o', 'jsonpath={.data.ca\\.crt}');
    const pem = Buffer.from(secret, 'base64').toString();
    await cluster.applyYaml(pageMesh(pem, '24h'));
    return pem;
  });
  await timed(screen, 'weft install demo | kubectl apply: Pods of web and api run, each with a sidecar', async () => {
    await cluster.applyYaml(await weft('install', 'demo', '--image', image), '--server-side');
    for (const name of ['api', 'web'])
      await cluster.kubectl(...demo, 'rollout', 'status', `deployment/${name}`, ROLLOUT);
  });
  return ca;
}

/** A Pod outside of the mesh calls `api`: gives the reason of the refusal. Throws `not_protected` when it was served. */
async function tryStranger({ cluster, image, signal }: KubernetesDemoSurroundings): Promise<string> {
  const pod = ['--namespace', DEMO_NAMESPACE];
  await cluster.applyYaml(JSON.stringify(strangerPod(image)));
  try {
    await cluster.kubectl(...pod, 'wait', '--for=condition=Ready', '--timeout=60s', 'pod/stranger');
    await using stranger = await forwardPort({
      cluster,
      namespace: DEMO_NAMESPACE,
      target: 'pod/stranger',
      port: SERVICE_PORT,
    });
    const ask = () => callHttp(`http://127.0.0.1:${stranger.port}/fresh`, 'GET');
    const answer = await until('the stranger runs', 20_000, signal, ask);
    if (answer.status === 200) {
      throw new DemoError(
        'not_protected',
        'call api from a Pod without a sidecar: it was served, but the mesh is STRICT',
      );
    }
    return answer.body.trim();
  } finally {
    await cluster.kubectl(...pod, 'delete', 'pod', 'stranger', '--wait=false', '--ignore-not-found');
  }
}

/** What `check` gives once it gives something; what it throws meanwhile is tried again. Throws `DemoError` `timeout`. */
async function until<T>(what: string, timeoutMs: number, signal: AbortSignal, check: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  let last: unknown;
  while (!signal.aborted && performance.now() < giveUpAt) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    await waitFor(300, signal);
  }
  throw new DemoError('timeout', `wait until ${what}: not within ${timeoutMs / 1000} s`, { cause: last });
}
