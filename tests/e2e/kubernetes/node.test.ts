import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOciImage } from '../../../scripts/oci-image.mjs';
import { eventually } from '../../../src/testing/envoy.ts';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';

const IMAGE = 'weft.test/node:1';
/** containerd's folder for the sockets of its shims, for all of the machine. */
const SHIM_SOCKETS = '/run/containerd/s';
const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

describe.skipIf(missing !== undefined)(`the node level${missing === undefined ? '' : ` (${missing})`}`, () => {
  let cluster: Cluster;
  let directory: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'weft-node-test-'));
    cluster = await startCluster({ level: 'node', certManager: false });
    await cluster.loadImage(await nodeImage(directory));
    await cluster.applyYaml(manifest([SERVER, service('server'), service('server-headless', 'None'), CLIENT, JOB]));
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=100s', 'pod/web', 'pod/client');
  }, 1_200_000);

  afterAll(async () => {
    await cluster?.stop();
    rmSync(directory, { recursive: true });
  });

  /** Runs a module in a Pod; gives what it prints. */
  const inPod = (pod: string, script: string) =>
    cluster.kubectl('exec', pod, '--', 'node', '--input-type=module', '--eval', script);
  const get = (pod: string, url: string) =>
    eventually(`an answer of ${url}`, () => inPod(pod, `process.stdout.write(await (await fetch('${url}')).text())`));

  it('runs init containers first and serves what they made to another Pod, by Service name', async () => {
    expect(await get('client', 'http://server')).toBe('made by init');
    expect(await get('client', 'http://server.default.svc.cluster.local')).toBe('made by init');
    expect(await get('client', 'http://server-headless:8080')).toBe('made by init');
  });

  it('reaches a Service from its own Pod and from this machine', async () => {
    expect(await get('web', 'http://server')).toBe('made by init');
    const address = await cluster.kubectl('get', 'service', 'server', '-o', 'jsonpath={.spec.clusterIP}');
    expect(await (await fetch(`http://${address}`)).text()).toBe('made by init');
  });

  it('says that a name does not exist, and that a name has no IPv6 address', async () => {
    const codes = await inPod(
      'client',
      `import { resolve4, resolve6 } from 'node:dns/promises';
       const code = (answer) => answer.then(() => 'found', (error) => error.code);
       console.log(await code(resolve4('nobody.default.svc.cluster.local')), await code(resolve6('server.default.svc.cluster.local')))`,
    );
    expect(codes).toBe('ENOTFOUND ENODATA\n');
  });

  it('lets Pods reach the API server with their own ServiceAccount', async () => {
    const answer = await inPod(
      'client',
      `import { readFileSync } from 'node:fs';
       import { get } from 'node:https';
       const [ca, token] = ['ca.crt', 'token'].map((name) => readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/' + name, 'utf8'));
       get('https://kubernetes.default.svc/api/v1/pods', { ca, headers: { authorization: 'Bearer ' + token } }, (answer) => answer.pipe(process.stdout))`,
    );
    expect(JSON.parse(answer).message).toMatch(/^pods is forbidden: User "system:serviceaccount:default:default"/);
  });

  it('shows logs', async () => {
    expect(await cluster.kubectl('logs', 'web')).toBe('web starts\n');
  });

  it('starts a native sidecar before the application and ends it after, so that a Job finishes', async () => {
    await cluster.kubectl('wait', '--for=condition=Complete', '--timeout=60s', 'job/once');
    expect(await cluster.kubectl('logs', 'job/once', '-c', 'main')).toBe('sidecar was first\n');
  });

  it('leaves nothing on the machine when it is stopped', async () => {
    const folder = dirname(cluster.kubeconfig);
    const ids = readdirSync(join(folder, 'run/io.containerd.runtime.v2.task/k8s.io'));
    const made = traces(folder, ids);
    expect(Object.values(made).every((some) => some.length > 0)).toBe(true);
    await cluster.stop();
    // Another test may have the machine's node by now, so only what was ours counts.
    const left = traces(folder, ids);
    for (const [kind, some] of Object.entries(left))
      expect(some.filter((one) => made[kind]?.includes(one))).toEqual([]);
  });
});

/** What the node in `folder`, with the containers `ids`, has on a machine; each with something that no later one has. */
function traces(folder: string, ids: readonly string[]): Record<string, readonly string[]> {
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' }).split('\n');
  const groups = ['', ...readdirSync('/sys/fs/cgroup')].flatMap((name) =>
    ids.map((id) => join('/sys/fs/cgroup', name, 'k8s.io', id)),
  );
  return {
    links: run('ip', '-oneline', 'link').filter((line) => /weft-node|veth/.test(line)),
    tables: run('nft', '--handle', 'list', 'tables').filter((line) => line.includes('kube-proxy')),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(folder)),
    groups: groups.filter((group) => existsSync(group)),
    processes: run('ps', '-eo', 'pid,args').filter((line) => line.includes(folder)),
    sockets: existsSync(SHIM_SOCKETS) ? readdirSync(SHIM_SOCKETS) : [],
    logs: readdirSync('/var/log/containers').filter((name) => ids.some((id) => name.includes(id))),
    files: [folder, join('/dev/shm', basename(folder))].filter((path) => existsSync(path)),
  };
}

/** Node and the libraries of this machine that it needs. */
async function nodeImage(directory: string): Promise<string> {
  const rootfs = join(directory, 'rootfs');
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).matchAll(/\/\S+/g);
  for (const path of [...libraries].map(([found]) => found)) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    copyFileSync(path, join(rootfs, path));
  }
  mkdirSync(join(rootfs, 'bin'));
  copyFileSync(process.execPath, join(rootfs, 'bin/node'));
  const output = join(directory, 'node.tar');
  await createOciImage({ name: IMAGE, rootfs, config: { Env: ['PATH=/bin'] }, output });
  return output;
}

const manifest = (items: readonly object[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

function container(name: string, script: string, more: object = {}): object {
  const volumeMounts = [{ name: 'www', mountPath: '/www' }];
  return { name, image: IMAGE, imagePullPolicy: 'Never', command: ['node', '--eval', script], volumeMounts, ...more };
}

function podSpec(containers: readonly object[], initContainers: readonly object[], more: object = {}): object {
  return {
    terminationGracePeriodSeconds: 1,
    volumes: [{ name: 'www', emptyDir: {} }],
    containers,
    initContainers,
    ...more,
  };
}

const SERVER = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', labels: { app: 'server' } },
  spec: podSpec(
    [
      container(
        'web',
        `const page = fs.readFileSync('/www/page');
         http.createServer((_, answer) => answer.end(page)).listen(8080, () => console.log('web starts'))`,
        { readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 } },
      ),
    ],
    [container('init', `fs.writeFileSync('/www/page', 'made by init')`)],
  ),
};

const CLIENT = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'client' },
  spec: podSpec([container('client', 'setInterval(() => {}, 1000)')], []),
};

const SIDECAR = container('sidecar', `fs.writeFileSync('/www/sidecar', ''); setInterval(() => {}, 1000)`, {
  restartPolicy: 'Always',
  startupProbe: { exec: { command: ['node', '--eval', `fs.statSync('/www/sidecar')`] }, periodSeconds: 1 },
});

const JOB = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'once' },
  spec: {
    template: {
      spec: podSpec([container('main', `fs.statSync('/www/sidecar'); console.log('sidecar was first')`)], [SIDECAR], {
        restartPolicy: 'Never',
      }),
    },
  },
};

function service(name: string, clusterIP?: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: 'server' }, clusterIP, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  };
}
