import { VERSION } from '../../control-plane/version.ts';
import { createLineLogger } from '../../dataplane/line-log.ts';
import { installRedirect, type RedirectTool, removeRedirect } from '../../dataplane/redirect.ts';
import type { RedirectConfig } from '../../transparent-proxy/config.ts';
import { iptablesRemoval, iptablesRules } from '../../transparent-proxy/iptables.ts';
import { nftRemoval, nftRules } from '../../transparent-proxy/nft.ts';
import { parseRedirectOptions, type RedirectOptions } from '../../transparent-proxy/parse.ts';
import { flagOption, type Invocation, textOption } from '../command.ts';
import { CliError, usageError } from '../errors.ts';

/** `weft install transparent-proxy`. */
export async function install(invocation: Invocation): Promise<void> {
  const { io } = invocation;
  if (flagOption(invocation, 'redirectDns') || flagOption(invocation, 'redirectAllDnsTraffic')) {
    throw usageError('--redirect-dns: the proxy answers no DNS in this version', 'leave it out; DNS is left alone');
  }
  const config = readConfig(invocation);
  const tool = textOption(invocation, 'backend') as RedirectTool | undefined;
  if (flagOption(invocation, 'dryRun')) {
    io.stdout(dryRun(config, tool));
    return;
  }
  const used = await installRedirect(config, tool, runOf(invocation));
  io.stderr(`traffic of this network namespace is redirected to the proxy (${used})\n`);
}

/** `weft uninstall transparent-proxy`. */
export async function uninstall(invocation: Invocation): Promise<void> {
  const { io } = invocation;
  const version = VERSION;
  if (flagOption(invocation, 'dryRun')) {
    io.stdout(`${nftRemoval({ version })}\n${iptablesRemoval({ version }, '')}`);
    return;
  }
  const tools = await removeRedirect(version, runOf(invocation));
  io.stderr(`no traffic of this network namespace is redirected any more (${tools.join(', ')})\n`);
}

function dryRun(config: RedirectConfig, tool: RedirectTool | undefined): string {
  if (tool === undefined || tool === 'nft') return nftRules(config);
  const families = config.ipFamilyMode === 'ipv4' ? ([4] as const) : ([4, 6] as const);
  return families
    .map(
      (family) =>
        `# ${family === 4 ? 'iptables' : 'ip6tables'}-restore --noflush\n${iptablesRules(config, family, '')}`,
    )
    .join('\n');
}

function runOf({ io, options }: Invocation) {
  const level = typeof options['logLevel'] === 'string' ? options['logLevel'] : 'info';
  return { env: io.env, log: createLineLogger(level, io.stderr, 'redirect'), signal: io.signal };
}

const FLAGS: Readonly<Record<keyof RedirectOptions, string>> = {
  proxyUid: '--kuma-dp-user',
  proxyGid: '--kuma-dp-group',
  redirectInbound: '--redirect-inbound',
  redirectInboundPort: '--redirect-inbound-port',
  redirectOutboundPort: '--redirect-outbound-port',
  excludeInboundPorts: '--exclude-inbound-ports',
  excludeOutboundPorts: '--exclude-outbound-ports',
  excludeInboundIps: '--exclude-inbound-ips',
  excludeOutboundIps: '--exclude-outbound-ips',
  excludeOutboundPortsForUids: '--exclude-outbound-ports-for-uids',
  ipFamilyMode: '--ip-family-mode',
  dropInvalidPackets: '--drop-invalid-packets',
};

/** Name that commander gives the value of a flag: `--kuma-dp-user` is `kumaDpUser`. */
function optionName(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function readConfig(invocation: Invocation): RedirectConfig {
  const user = textOption(invocation, 'kumaDpUser');
  const given = Object.entries(FLAGS).flatMap(([option, flag]) => {
    const value = invocation.options[optionName(flag)];
    // A flag alone means true; one that may be given several times is a list.
    const text = value === true ? 'true' : Array.isArray(value) ? value.join(';') : value;
    return typeof text === 'string' ? [[option, text] as const] : [];
  });
  const options: RedirectOptions = {
    ...(user !== undefined && { proxyGid: user }),
    ...Object.fromEntries(given),
  };
  const parsed = parseRedirectOptions(options, VERSION);
  if ('config' in parsed) return parsed.config;
  throw new CliError('usage', 'read the flags of install transparent-proxy', {
    fields: parsed.problems.map(({ option, value, wanted }) => ({
      field: FLAGS[option],
      reason: `"${value}" is not ${wanted}`,
    })),
    next: 'see weft install transparent-proxy --help',
  });
}
