import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * The node's address and what the kernel must allow. Every Pod has a link of its own to the machine (CNI `ptp`), so that all traffic between
 * Pods is routed, and replies of a Service find their way back; on a bridge they would need br_netfilter.
 */

/** The node's own address, on a link without cable. The API server and the DNS server listen there. */
export const NODE_ADDRESS = '10.243.0.1';
/** Addresses of Pods. */
export const POD_RANGE = '10.244.0.0/24';
const SERVICE_RANGE = '10.96.0.0/16';
const LINK = 'weft-node';
const KUBE_PROXY_TABLES = ['ip', 'ip6'];
/** What is changed here or by kubelet (pkg/kubelet/cm `setupKernelTunables`); written down before and put back after. */
const SETTINGS = [
  'net/ipv4/ip_forward',
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];
const SAVED = 'kernel-settings.json';

/** Makes the node's link and lets the kernel forward. */
export function setUpNetwork(directory: string): void {
  const present = SETTINGS.filter((name) => existsSync(join('/proc/sys', name)));
  const saved = present.map((name) => [name, readFileSync(join('/proc/sys', name), 'utf8').trim()]);
  writeFileSync(join(directory, SAVED), JSON.stringify(Object.fromEntries(saved)));
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  ip('link', 'add', LINK, 'type', 'bridge');
  ip('address', 'add', `${NODE_ADDRESS}/32`, 'dev', LINK);
  ip('link', 'set', LINK, 'up');
  // Services have no place; the route only gives connections from this machine a source address before they are redirected.
  ip('route', 'add', SERVICE_RANGE, 'dev', LINK, 'src', NODE_ADDRESS);
}

/** Undoes `setUpNetwork` and what kube-proxy left. Harmless when there is nothing. */
export function tearDownNetwork(directory: string): void {
  const saved = join(directory, SAVED);
  if (!existsSync(saved)) return;
  attempt('ip', ['link', 'delete', LINK]);
  for (const family of KUBE_PROXY_TABLES) attempt('nft', ['delete', 'table', family, 'kube-proxy']);
  // Written by setUpNetwork.
  for (const [name, value] of Object.entries(JSON.parse(readFileSync(saved, 'utf8')) as Record<string, string>)) {
    writeFileSync(join('/proc/sys', name), value);
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Runs a command that may have nothing to do. */
function attempt(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // It was gone already.
  }
}
