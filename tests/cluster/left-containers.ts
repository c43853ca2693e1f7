import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Parent of every container's control group, below the root. */
export const CONTROL_GROUP = '/weft-cluster';
/** containerd's socket in the state directory. */
export const SOCKET = 'containerd.sock';
/** Where kubelet links container logs for log collectors; it has no setting for that folder. */
const LOG_LINKS = '/var/log/containers';
const KILL_MS = 10_000;

/** Ends every container of a node whose kubelet and containerd are gone, and removes mounts, control groups and links of it. */
export async function tearDownContainers(directory: string): Promise<void> {
  const groups = controlGroups();
  for (const until = Date.now() + KILL_MS; Date.now() < until; await sleep(20)) {
    const alive = [...groups.flatMap(processesIn), ...shims(directory)];
    if (alive.length === 0) break;
    for (const pid of alive) kill(pid);
  }
  for (const group of groups.toReversed()) rmdirSync(group);
  for (const mount of mountsBelow(directory)) execFileSync('umount', ['--lazy', mount]);
  for (const name of existsSync(LOG_LINKS) ? readdirSync(LOG_LINKS) : []) {
    if (linkTarget(join(LOG_LINKS, name)).startsWith(directory)) rmSync(join(LOG_LINKS, name));
  }
}

/** Our control groups, parents first: one tree in version 2, one for each controller in version 1. */
function controlGroups(): string[] {
  const root = '/sys/fs/cgroup';
  const roots = [root, ...readdirSync(root).map((name) => join(root, name))];
  return roots
    .map((one) => join(one, CONTROL_GROUP))
    .filter((one) => existsSync(one))
    .flatMap((one) => [one, ...subfolders(one)]);
}

function subfolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
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
