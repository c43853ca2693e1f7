import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** containerd's socket in the state directory. */
export const SOCKET = 'containerd.sock';
const SHIM_SOCKETS = '/run/containerd/s';
/** Where containerd keeps what it gave to runc, below the state directory; the last part is kubelet's namespace. */
const TASKS = 'run/io.containerd.runtime.v2.task/k8s.io';
/** Where kubelet links container logs for log collectors; it has no setting for that folder. */
const LOG_LINKS = '/var/log/containers';
const KILL_MS = 10_000;

/** Ends every container of a node whose kubelet and containerd are gone, and removes mounts, control groups and links of it. */
export async function tearDownContainers(directory: string): Promise<void> {
  const groups = controlGroups(directory);
  const sockets = shimSockets(directory);
  for (const until = Date.now() + KILL_MS; Date.now() < until; await sleep(20)) {
    const alive = [...groups.flatMap(processesIn), ...shims(directory)];
    if (alive.length === 0) break;
    for (const pid of alive) kill(pid);
  }
  for (const socket of sockets) rmSync(socket, { force: true });
  // Then what they are all in, when no other containerd of the machine has it too.
  for (const folder of [...groups, ...new Set(groups.map(dirname)), SHIM_SOCKETS, dirname(SHIM_SOCKETS)]) {
    removeEmpty(folder);
  }
  for (const mount of mountsBelow(directory)) unmount(mount);
  // Removing the folder would remove what is mounted in it, perhaps a folder of the machine.
  const [still] = mountsBelow(directory);
  if (still !== undefined) throw new Error(`take down containers: ${still} is still mounted`);
  for (const name of existsSync(LOG_LINKS) ? readdirSync(LOG_LINKS) : []) {
    if (linkTarget(join(LOG_LINKS, name)).startsWith(directory)) rmSync(join(LOG_LINKS, name));
  }
}

/** Control groups of our containers: one tree in version 2, one for each controller in version 1. */
function controlGroups(directory: string): string[] {
  const root = '/sys/fs/cgroup';
  const roots = [root, ...readdirSync(root).map((name) => join(root, name))];
  return containerPaths(directory)
    .flatMap((path) => roots.map((one) => join(one, path)))
    .filter((group) => existsSync(join(group, 'cgroup.procs')));
}

/** The control groups that containerd's bundles name (runtime-spec `linux.cgroupsPath`). */
function containerPaths(directory: string): string[] {
  return bundles(directory).flatMap((bundle) => {
    const config = join(bundle, 'config.json');
    if (!existsSync(config)) return [];
    // Written by containerd.
    const spec = JSON.parse(readFileSync(config, 'utf8')) as { linux?: { cgroupsPath?: string } };
    return spec.linux?.cgroupsPath ?? [];
  });
}

/** Sockets of the shims, which have a folder for all of the machine. A shim that is killed leaves its own. */
function shimSockets(directory: string): string[] {
  return bundles(directory)
    .map((bundle) => join(bundle, 'address'))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8').replace('unix://', ''))
    .filter((socket) => dirname(socket) === SHIM_SOCKETS);
}

/** A folder for each container, with what containerd gave to runc. */
function bundles(directory: string): string[] {
  const tasks = join(directory, TASKS);
  return existsSync(tasks) ? readdirSync(tasks).map((id) => join(tasks, id)) : [];
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is gone, or in use.
  }
}

function processesIn(group: string): number[] {
  try {
    return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The processes that containerd leaves beside its containers. */
function shims(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return command.includes('containerd-shim') && command.includes(join(directory, SOCKET));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Mount points below a folder, innermost first. */
function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
    .toReversed();
}

function unmount(point: string): void {
  try {
    execFileSync('umount', ['--lazy', point], { stdio: 'ignore' });
  } catch {
    // It was gone already; the caller looks.
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
