import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts } from '../../src/demo/ports.ts';
import type { ClusterBinaries } from './binaries.ts';
import { type Containers, startContainers } from './containers.ts';
import type { Credentials } from './credentials.ts';
import type { Kubectl } from './kubectl.ts';
import { NODE_ADDRESS, POD_RANGE } from './node-network.ts';
import { weighPods } from './pod-weight.ts';
import { startProgram } from './program.ts';

const NODE = 'weft-node';
const READY_MS = 60_000;

/** Starts the one node: scheduler, containerd, kubelet, kube-proxy and the DNS server for Pods. Resolves when the node is Ready. */
export async function startNode(options: {
  readonly directory: string;
  readonly binaries: ClusterBinaries;
  readonly credentials: Credentials;
  readonly kubectl: Kubectl;
  /** Writes a kubeconfig for a user with a certificate; returns its path. */
  kubeconfigOf(user: string, groups: readonly string[]): Promise<string>;
}): Promise<Containers> {
  const { directory, binaries, credentials, kubectl, kubeconfigOf } = options;
  const [kubeletPort, healthPort, proxyPort, metricsPort] = await findFreePorts(4);
  const writeConfig = (name: string, config: object) => {
    const file = join(directory, `${name}.json`);
    writeFileSync(file, JSON.stringify(config));
    return file;
  };

  await startProgram({
    directory,
    name: 'kube-scheduler',
    command: binaries.program('kube-scheduler'),
    args: [
      `--kubeconfig=${await kubeconfigOf('system:kube-scheduler', [])}`,
      ...['--leader-elect=false', '--secure-port=0', '--kube-api-qps=500', '--kube-api-burst=500'],
    ],
  });
  const containers = await startContainers(directory, binaries);

  const serving = await credentials.servingCertificate('kubelet', [NODE_ADDRESS]);
  const kubelet = await startProgram({
    directory,
    name: 'kubelet',
    command: binaries.program('kubelet'),
    args: [
      `--kubeconfig=${await kubeconfigOf(`system:node:${NODE}`, ['system:nodes'])}`,
      `--config=${writeConfig('kubelet', {
        apiVersion: 'kubelet.config.k8s.io/v1beta1',
        kind: 'KubeletConfiguration',
        address: NODE_ADDRESS,
        port: kubeletPort,
        healthzPort: healthPort,
        tlsCertFile: serving.certFile,
        tlsPrivateKeyFile: serving.keyFile,
        authentication: {
          anonymous: { enabled: false },
          webhook: { enabled: false },
          x509: { clientCAFile: credentials.caFile },
        },
        authorization: { mode: 'AlwaysAllow' },
        containerRuntimeEndpoint: containers.endpoint,
        podLogsDir: join(directory, 'pod-logs'),
        clusterDomain: 'cluster.local',
        clusterDNS: [NODE_ADDRESS],
        // Names outside the cluster are nobody's business here.
        resolvConf: '',
        cgroupDriver: 'cgroupfs',
        cgroupsPerQOS: false,
        enforceNodeAllocatable: [],
        failCgroupV1: false,
        failSwapOn: false,
        makeIPTablesUtilChains: false,
        localStorageCapacityIsolation: false,
        // A full disk of the machine is not the tests' affair.
        evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'imagefs.available': '0%' },
        imageGCHighThresholdPercent: 100,
        maxPods: 250,
        serializeImagePulls: false,
        kubeAPIQPS: 200,
        kubeAPIBurst: 200,
      })}`,
      ...[`--root-dir=${join(directory, 'kubelet')}`, `--node-ip=${NODE_ADDRESS}`, `--hostname-override=${NODE}`],
    ],
  });

  await startProgram({
    directory,
    name: 'cluster-dns',
    command: binaries.program('cluster-dns'),
    args: [`--kubeconfig=${await kubeconfigOf('cluster-dns', ['system:masters'])}`, `--listen=${NODE_ADDRESS}:53`],
  });
  await kubelet.ready(async () => /True/.test(await kubectl(['get', 'node', NODE, `-o=${READY_CONDITION}`])), READY_MS);
  weighPods();

  await startProgram({
    directory,
    name: 'kube-proxy',
    command: binaries.program('kube-proxy'),
    args: [
      `--config=${writeConfig('kube-proxy', {
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
        kind: 'KubeProxyConfiguration',
        clientConnection: { kubeconfig: await kubeconfigOf('system:kube-proxy', []), qps: 200, burst: 200 },
        mode: 'nftables',
        clusterCIDR: POD_RANGE,
        hostnameOverride: NODE,
        healthzBindAddress: `127.0.0.1:${proxyPort}`,
        metricsBindAddress: `127.0.0.1:${metricsPort}`,
        nodePortAddresses: [`${NODE_ADDRESS}/32`],
        nftables: { minSyncPeriod: '100ms', syncPeriod: '30s' },
        // The kernel's own limits stay as they are.
        conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
      })}`,
    ],
  });
  return containers;
}

const READY_CONDITION = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
