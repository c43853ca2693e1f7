import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** Control group of all containers of kubelet, unless kubelet makes groups of its own. */
const PODS = 'k8s.io';
/** Sixteen times a process of the machine, in the units of version 1 (1024) and 2 (100). */
const WEIGHTS = [
  ['cpu', 'cpu.shares', '16384'],
  ['', 'cpu.weight', '1600'],
] as const;

/**
 * Gives Pods the CPU that they have on a machine that is nothing but a node, where kubelet gives their group the weight of all its CPUs. Without, all
 * Pods together weigh as much as one process of the machine: beside a busy compiler a Pod stands still for seconds. The group goes with the last container.
 */
export function weighPods(): void {
  for (const [controller, file, weight] of WEIGHTS) {
    const parent = join(ROOT, controller);
    const group = join(parent, PODS);
    if (!existsSync(join(parent, 'cgroup.procs'))) continue;
    mkdirSync(group, { recursive: true });
    if (existsSync(join(group, file))) writeFileSync(join(group, file), weight);
  }
}
