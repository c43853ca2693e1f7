import { request } from 'node:https';
import { findFreePorts } from '../../src/demo/ports.ts';
import type { ClusterBinaries } from './binaries.ts';
import type { Credentials } from './credentials.ts';
import { type Program, startProgram } from './program.ts';
import { storeDirectory } from './state-directory.ts';

export interface ApiServerOptions {
  readonly directory: string;
  readonly binaries: ClusterBinaries;
  readonly credentials: Credentials;
  /** Where it listens; '127.0.0.1' unless Pods must reach it. */
  readonly address: string;
  /** Without it clients such as cert-manager limit their requests themselves. */
  readonly priorityAndFairness: boolean;
  readonly extraFlags: readonly string[];
}

/** etcd and kube-apiserver. */
export interface ApiServer {
  /** `https://<address>:<port>` */
  readonly server: string;
  readonly port: number;
  /** Ends kube-apiserver; etcd goes on. */
  stop(): Promise<void>;
  /** Starts kube-apiserver again, on the same port. */
  start(): Promise<void>;
}

const SERVICE_RANGE = '10.96.0.0/16';

/** Starts both and waits until the API server is ready. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { directory, binaries, credentials, address } = options;
  const [port, clientPort, peerPort] = await findFreePorts(3);
  const etcd = `http://127.0.0.1:${clientPort}`;
  await startProgram({
    directory,
    name: 'etcd',
    command: 'etcd',
    args: [
      ...[`--data-dir=${storeDirectory(directory)}`, `--listen-client-urls=${etcd}`, `--advertise-client-urls=${etcd}`],
      ...[`--listen-peer-urls=http://127.0.0.1:${peerPort}`, '--logger=zap', '--log-level=warn'],
    ],
  });
  let program: Program | undefined;

  async function start(): Promise<void> {
    if (program !== undefined) return;
    const starting = await startProgram({
      directory,
      name: 'kube-apiserver',
      command: binaries.program('kube-apiserver'),
      args: [
        ...[`--etcd-servers=${etcd}`, `--secure-port=${port}`, `--bind-address=${address}`],
        // A loopback address cannot be an endpoint of the Service "kubernetes"; nobody asks for it there.
        ...(address === '127.0.0.1' ? ['--endpoint-reconciler-type=none'] : [`--advertise-address=${address}`]),
        ...[`--tls-cert-file=${credentials.serverCertFile}`, `--tls-private-key-file=${credentials.serverKeyFile}`],
        ...[`--client-ca-file=${credentials.caFile}`, `--token-auth-file=${credentials.tokenFile}`],
        ...['--authorization-mode=Node,RBAC', `--service-cluster-ip-range=${SERVICE_RANGE}`],
        '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
        `--service-account-key-file=${credentials.serviceAccountKeyFile}`,
        `--service-account-signing-key-file=${credentials.serviceAccountKeyFile}`,
        `--enable-priority-and-fairness=${options.priorityAndFairness}`,
        ...options.extraFlags,
      ],
      // A quarter less time until it is ready, for 160 MB.
      env: { GOGC: '400' },
    });
    program = starting;
    await starting.ready(() => isReady(address, port!, credentials.ca));
  }

  await start();
  return {
    server: `https://${address}:${port}`,
    port: port!,
    start,
    async stop() {
      const stopping = program;
      program = undefined;
      // No grace: it would wait for every open watch.
      await stopping?.stop(0);
    },
  };
}

function isReady(host: string, port: number, ca: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    request({ host, port, path: '/readyz', ca, agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .once('error', reject)
      .end();
  });
}
