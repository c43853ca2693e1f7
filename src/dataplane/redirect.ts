/**
 * Puts redirect rules into this network namespace and takes them away: `weft install transparent-proxy`, run by the init container `kuma-init`.
 * The rules themselves are made by `transparent-proxy/`.
 */
import type { Logger } from '../lib/log.ts';
import { PROXY_SOURCE, type RedirectConfig } from '../transparent-proxy/config.ts';
import { iptablesRemoval, iptablesRules } from '../transparent-proxy/iptables.ts';
import { nftRemoval, nftRules } from '../transparent-proxy/nft.ts';
import { DataplaneError } from './error.ts';
import { lookUpProgram } from './machine.ts';
import { childProcess, fs } from './node.ts';

/** `iptables-legacy` speaks to the old kernel interface, `iptables` is whichever of the two the system chose. */
export type RedirectTool = 'nft' | 'iptables' | 'iptables-legacy';

export interface RedirectRun {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Name of `iptables-save` and its like for one tool. */
const IPTABLES = {
  iptables: { 4: 'iptables', 6: 'ip6tables' },
  'iptables-legacy': { 4: 'iptables-legacy', 6: 'ip6tables-legacy' },
} as const;

/**
 * Installs the rules and gives the tool that took them. With `wanted` absent: nft where both the program and the kernel have it, else iptables,
 * else iptables-legacy. All or nothing per tool and family; a second run replaces what the first one made.
 * Errors: `redirect_tool_missing`, `redirect_denied`, `redirect_failed`.
 */
export async function installRedirect(
  config: RedirectConfig,
  wanted: RedirectTool | undefined,
  run: RedirectRun,
): Promise<RedirectTool> {
  const ipv6 = config.ipFamilyMode === 'dualstack' && hasIpv6Stack();
  const refusals: string[] = [];
  for (const tool of wanted === undefined ? (['nft', 'iptables', 'iptables-legacy'] as const) : [wanted]) {
    const refusal = tool === 'nft' ? await installNft(config, run) : await installIptables(config, tool, ipv6, run);
    if (refusal === undefined) {
      if (ipv6) await changeProxySource('add', run);
      return tool;
    }
    run.log.debug('rules were not taken', { tool, reason: refusal });
    refusals.push(refusal);
  }
  throw redirectError(refusals);
}

/** Takes away what `installRedirect` made, by whichever tool; fine when there is nothing. Gives the tools that were asked. Errors as there. */
export async function removeRedirect(version: string, run: RedirectRun): Promise<readonly RedirectTool[]> {
  const done: RedirectTool[] = [];
  const refusals: string[] = [];
  const note = (tool: RedirectTool, refusal: string | undefined) => {
    if (refusal === undefined) done.push(tool);
    else refusals.push(refusal);
  };
  note('nft', await feed('nft', ['-f', '-'], nftRemoval({ version }), run));
  for (const tool of ['iptables', 'iptables-legacy'] as const) {
    for (const family of hasIpv6Stack() ? ([4, 6] as const) : ([4] as const)) {
      const program = IPTABLES[tool][family];
      const saved = await call(`${program}-save`, [], '', run);
      if ('refusal' in saved) note(tool, saved.refusal);
      else if (saved.output.includes('KUMA_MESH_'))
        note(tool, await restore(program, iptablesRemoval({ version }, saved.output), run));
      else note(tool, undefined);
    }
  }
  if (done.length === 0) throw redirectError(refusals);
  if (hasIpv6Stack()) await changeProxySource('del', run);
  return [...new Set(done)];
}

async function installNft(config: RedirectConfig, run: RedirectRun): Promise<string | undefined> {
  return feed('nft', ['-f', '-'], nftRules(config), run);
}

async function installIptables(
  config: RedirectConfig,
  tool: 'iptables' | 'iptables-legacy',
  ipv6: boolean,
  run: RedirectRun,
): Promise<string | undefined> {
  for (const family of ipv6 ? ([4, 6] as const) : ([4] as const)) {
    const program = IPTABLES[tool][family];
    const saved = await call(`${program}-save`, [], '', run);
    if ('refusal' in saved) return saved.refusal;
    const refusal = await restore(program, iptablesRules(config, family, saved.output), run);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function restore(program: string, rules: string, run: RedirectRun): Promise<string | undefined> {
  return feed(`${program}-restore`, ['--noflush', '--wait=5'], rules, run);
}

/** Feeds `input` to a program; gives why it refused, `undefined` when it did not. */
async function feed(program: string, args: readonly string[], input: string, run: RedirectRun) {
  const result = await call(program, args, input, run);
  return 'refusal' in result ? result.refusal : undefined;
}

const CALL_TIMEOUT_MS = 30_000;
/** Where a root file system is read-only, the lock of legacy iptables goes here. */
const LOCK_FILE = '/dev/shm/xtables.lock';

function call(
  program: string,
  args: readonly string[],
  input: string,
  run: RedirectRun,
): Promise<{ readonly output: string } | { readonly refusal: string }> {
  const path = lookUpProgram(program, run.env);
  if (path === undefined) return Promise.resolve({ refusal: `${program}: ${NOT_THERE}` });
  const env = fs.existsSync('/dev/shm') ? { XTABLES_LOCKFILE: LOCK_FILE, ...run.env } : { ...run.env };
  return new Promise((resolve, reject) => {
    const child = childProcess.execFile(
      path,
      [...args],
      { env, timeout: CALL_TIMEOUT_MS, signal: run.signal, encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (run.signal.aborted) reject(run.signal.reason);
        else if (error) resolve({ refusal: `${program}: ${firstLines(stderr) || error.message}` });
        else resolve({ output: stdout });
      },
    );
    // A program that ends early closes its input; its exit code tells why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function firstLines(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !line.startsWith('# Warning'))
    .slice(0, 3)
    .join('; ');
}

/**
 * Envoy's connections to its application come from an address of the loopback network. For IPv4 every such address is there; for IPv6 it must be
 * added. Fine when it is there, or gone, already.
 */
async function changeProxySource(action: 'add' | 'del', run: RedirectRun): Promise<void> {
  const result = await call('ip', ['-6', 'addr', action, `${PROXY_SOURCE[6]}/128`, 'dev', 'lo'], '', run);
  if ('refusal' in result && !/exists|already assigned|Cannot assign|not found/i.test(result.refusal)) {
    run.log.warn('the IPv6 address that Envoy reaches its application from was not set', {
      address: PROXY_SOURCE[6],
      reason: result.refusal,
    });
  }
}

/** False when this kernel or network namespace has IPv6 switched off. */
function hasIpv6Stack(): boolean {
  try {
    return fs.readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').trim() === '0';
  } catch {
    return false;
  }
}

const NOT_THERE = 'not on PATH';

function redirectError(refusals: readonly string[]): DataplaneError {
  const all = refusals.join(' | ');
  if (refusals.every((refusal) => refusal.endsWith(NOT_THERE)))
    return new DataplaneError('redirect_tool_missing', `set redirect rules: ${all}; install nftables or iptables`);
  if (/operation not permitted|permission denied|must be root/i.test(all)) {
    return new DataplaneError(
      'redirect_denied',
      `set redirect rules: ${all}; this needs root with the capabilities NET_ADMIN and NET_RAW: in a Pod the namespace's Pod Security level must be privileged and no policy may drop them from kuma-init`,
    );
  }
  return new DataplaneError(
    'redirect_failed',
    `set redirect rules: ${all}; the kernel needs nf_tables with nat and redirect, or the iptables modules nat, owner and REDIRECT`,
  );
}
