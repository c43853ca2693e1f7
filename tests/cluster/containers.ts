import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createOciImage } from '../../scripts/oci-image.mjs';
import type { ClusterBinaries } from './binaries.ts';
import { SOCKET } from './left-containers.ts';
import { POD_RANGE } from './node-network.ts';
import { startProgram } from './program.ts';

/** containerd with a state of its own, so that another one on the machine is not touched. */
export interface Containers {
  /** `unix:///…` for kubelet. */
  readonly endpoint: string;
  /** Makes the images of a tar file (OCI layout or `docker save`) known to the node. */
  loadImage(tar: string): Promise<void>;
}

const PAUSE_IMAGE = 'weft.test/pause:1';
const CNI_PLUGINS = '/usr/lib/cni';

/** Starts containerd and gives it the image that holds a Pod's namespaces. */
export async function startContainers(directory: string, binaries: ClusterBinaries): Promise<Containers> {
  const socket = join(directory, SOCKET);
  mkdirSync(join(directory, 'cni'));
  writeFileSync(join(directory, 'cni', 'weft.conflist'), JSON.stringify(podNetwork(directory)));
  const config = join(directory, 'containerd.toml');
  writeFileSync(config, containerdConfig(directory, socket));
  const program = await startProgram({
    directory,
    name: 'containerd',
    command: 'containerd',
    args: ['--config', config],
  });
  const ctr = (...args: readonly string[]) =>
    execFileSync('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  await program.ready(async () => ctr('version').length > 0);

  const loadImage = async (tar: string) => void ctr('images', 'import', '--no-unpack=false', tar);
  const folder = await mkdtemp(join(directory, 'pause-'));
  const rootfs = join(folder, 'rootfs');
  mkdirSync(rootfs);
  await copyFile(binaries.program('pause'), join(rootfs, 'pause'));
  const output = join(folder, 'pause.tar');
  await createOciImage({ name: PAUSE_IMAGE, rootfs, config: { Entrypoint: ['/pause'] }, output });
  await loadImage(output);
  await rm(folder, { recursive: true });
  return { endpoint: `unix://${socket}`, loadImage };
}

function podNetwork(directory: string): object {
  const addresses = {
    type: 'host-local',
    ranges: [[{ subnet: POD_RANGE }]],
    routes: [{ dst: '0.0.0.0/0' }],
    dataDir: join(directory, 'addresses'),
  };
  return { cniVersion: '0.4.0', name: 'weft', plugins: [{ type: 'ptp', ipam: addresses }] };
}

/** `restrict_oom_score_adj`: without it no sandbox starts where root may not lower that score (CAP_SYS_RESOURCE). */
function containerdConfig(directory: string, socket: string): string {
  return `version = 2
root = "${join(directory, 'containerd')}"
state = "${join(directory, 'run')}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${join(directory, 'cni')}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "${join(directory, 'runc')}"
`;
}
