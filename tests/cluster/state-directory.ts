import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tearDownContainers } from './left-containers.ts';
import { releaseNode } from './node-lock.ts';
import { tearDownNetwork } from './node-network.ts';

/*
 * One cluster's files and processes. Whatever a cluster starts is written down here first, so that anybody can end it: the cluster
 * itself, the watchdog when the test process is gone, and the next start when both were killed.
 */

const PREFIX = 'weft-cluster-';
const OWNER = 'owner';
const PROCESSES = 'processes';
const NODE = 'node';
/** Where the API server's store lives when the system has it: in memory, where an fsync costs nothing. */
const MEMORY = '/dev/shm';
const GRACE_MS = 5000;

/** A new state directory of this process. Remove it with `tearDown`. */
export function createStateDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), PREFIX));
  writeFileSync(join(directory, OWNER), `${process.pid}\n`);
  writeFileSync(join(directory, PROCESSES), '');
  return directory;
}

/** Where a cluster's store keeps its data; `tearDown` removes it too. */
export function storeDirectory(directory: string): string {
  return existsSync(MEMORY) ? join(MEMORY, basename(directory)) : join(directory, 'etcd');
}

/** Writes down that this cluster has the machine's node, with network and containers. */
export function recordNode(directory: string): void {
  writeFileSync(join(directory, NODE), '');
}

/** Writes down that process group `pid` belongs to the cluster. Its command line must name the directory (its last part). */
export function recordProcess(directory: string, pid: number): void {
  appendFileSync(join(directory, PROCESSES), `${pid}\n`);
}

/** Ends every recorded process and what they left in the kernel, and removes the directory. Harmless when there is none. */
export async function tearDown(directory: string): Promise<void> {
  // All data goes too, so nobody is asked to end: it would only take time.
  for (const pid of recordedProcesses(directory).toReversed()) await endProcess(directory, pid, 0);
  if (existsSync(join(directory, NODE))) {
    await tearDownContainers(directory);
    tearDownNetwork(directory);
    releaseNode(directory);
  }
  rmSync(storeDirectory(directory), { recursive: true, force: true });
  rmSync(directory, { recursive: true, force: true });
}

/** Ends what processes that are gone have left behind, as after a `kill -9` of the test and its watchdog. */
export async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const directory = join(tmpdir(), name);
    if (!name.startsWith(PREFIX) || !existsSync(join(directory, OWNER))) continue;
    const owner = Number(readFileSync(join(directory, OWNER), 'utf8'));
    // Its watchdog may be doing the same, or another test.
    if (!isAlive(owner)) await tearDown(directory).catch(() => {});
  }
}

/** Ends the process group `pid` of this cluster: asks, then kills. Another program that got the number since is left alone. */
export async function endProcess(directory: string, pid: number, graceMs = GRACE_MS): Promise<void> {
  if (!commandLine(pid).includes(basename(directory))) return;
  if (graceMs > 0) signalGroup(pid, 'SIGTERM');
  for (const until = Date.now() + graceMs; isAlive(pid); await sleep(20)) {
    if (Date.now() >= until) signalGroup(pid, 'SIGKILL');
  }
}

function recordedProcesses(directory: string): number[] {
  const file = join(directory, PROCESSES);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : [];
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended meanwhile.
  }
}

/**
 * A process that has ended but was not waited for (a zombie) counts as gone, once its last thread is: until then its sockets are open, and its port is taken.
 * Source: proc(5).
 */
function isAlive(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return !(/^State:\s+Z/m.test(status) && /^Threads:\s+1$/m.test(status));
  } catch {
    return false;
  }
}

/** '' when there is no such process. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
