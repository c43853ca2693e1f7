/**
 * `make demo-kubernetes`. With KUBECONFIG set: on that cluster, which must be able to pull the images (WEFT_IMAGE_REGISTRY names where they are), and
 * which is left as it was. Else on a cluster of its own. Exit code 0 when no request failed.
 */
import { parseArgs } from 'node:util';
import { tableText } from '../../../src/cli/output/table.ts';
import { VERSION } from '../../../src/control-plane/version.ts';
import type { DemoTerminal } from '../../../src/demo/screen.ts';
import { parseKumaDuration } from '../../../src/lib/duration.ts';
import { aborted } from '../../../src/lib/wait.ts';
import { missingCluster } from '../binaries.ts';
import { type Cluster, startCluster } from '../cluster.ts';
import { weftImages } from '../images.ts';
import { createKubectl } from '../kubectl.ts';
import { DEMO_NAMESPACE, SYSTEM_NAMESPACE } from './documents.ts';
import { runKubernetesDemo } from './run.ts';
import { createWeft } from './weft.ts';

const ROTATIONS_OFF_A_TERMINAL = 3;

const { values } = parseArgs({
  options: { rotations: { type: 'string' }, lifetime: { type: 'string', default: '30s' } },
});
const lifetimeMs = parseKumaDuration(values.lifetime);
if (lifetimeMs === undefined)
  throw new Error(`--lifetime: "${values.lifetime}" is not one number and one unit, such as 30s`);
const isTTY = process.stdout.isTTY === true;
const rotations =
  values.rotations === undefined ? (isTTY ? undefined : ROTATIONS_OFF_A_TERMINAL) : Number(values.rotations);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
if (process.env['KUBECONFIG']) process.env['WEFT_TEST_CLUSTER'] = 'user';

const terminal: DemoTerminal = {
  isTTY,
  columns: () => process.stdout.columns ?? 120,
  write: (text) => void process.stdout.write(text),
  table: tableText,
};
const missing = missingCluster('node');
if (missing !== undefined) {
  console.error(`demo: no cluster here: ${missing}. With KUBECONFIG set, the demo runs on that cluster.`);
  process.exit(2);
}
process.exitCode = await demo();

async function demo(): Promise<number> {
  const own = process.env['WEFT_TEST_CLUSTER'] === 'user';
  const registry = own ? process.env['WEFT_IMAGE_REGISTRY'] : undefined;
  const images = own ? [] : await weftImages();
  await using cluster = await startCluster({ level: 'node' });
  const weft = createWeft(stop.signal);
  if (own) await refuseUsedCluster(cluster);
  else for (const archive of images) await cluster.loadImage(archive);
  try {
    const running = runKubernetesDemo(
      { rotations, lifetime: values.lifetime, lifetimeMs: lifetimeMs! },
      { cluster, weft, image: `${registry ?? 'weft'}/control-plane:${VERSION}`, terminal, signal: stop.signal },
    );
    // Told to stop, nothing is waited for: what it is doing fails when the cluster goes.
    running.catch(() => {});
    const report = await Promise.race([running, aborted(stop.signal)]);
    if (report === undefined) return 0;
    if (report.failed === 0) return 0;
    console.error(`demo: ${report.failed} of ${report.sent} requests failed, the first: ${report.failures[0]}`);
    return 1;
  } catch (error) {
    const { message, cause } = error as Error;
    console.error(`demo: ${message}${cause instanceof Error ? `: ${cause.message}` : ''}`);
    return 1;
  } finally {
    if (own) await cleanUp(cluster, await createWeft(new AbortController().signal)('install', 'control-plane'));
  }
}

/** What is there already is somebody's: the demo would change it, and delete it at the end. */
async function refuseUsedCluster(cluster: Cluster): Promise<void> {
  const found = await cluster.kubectl(
    'get',
    'namespace',
    SYSTEM_NAMESPACE,
    DEMO_NAMESPACE,
    '--ignore-not-found',
    '-o',
    'name',
  );
  if (found.trim() !== '')
    throw new Error(`demo: ${found.trim().replaceAll('\n', ', ')} is there already; use another cluster`);
  await cluster.kubectl('get', 'crd', 'certificaterequests.cert-manager.io').catch(() => {
    throw new Error('demo: cert-manager is not installed in this cluster; see docs/guides/cert-manager.md, step 1');
  });
}

/** Takes away what the demo applied; definitions go last, and with them every Mesh. */
async function cleanUp(cluster: Cluster, controlPlane: string): Promise<void> {
  const kubectl = createKubectl(cluster.kubectlProgram, cluster.kubeconfig);
  const quiet = ['--ignore-not-found', '--wait=false'];
  await kubectl(['delete', 'namespace', DEMO_NAMESPACE, ...quiet]);
  await kubectl(['delete', '-f', 'docs/examples/kubernetes/ca-issuer.yaml', ...quiet]);
  await kubectl(['delete', '-f', '-', ...quiet], controlPlane);
}
