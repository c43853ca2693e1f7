import type { CommandSpec, OptionSpec } from './command.ts';

const dryRun: OptionSpec = { flags: '--dry-run', description: 'show the rules, change nothing' };

/** Redirect rules of one machine or Pod. Names and defaults of the flags: Kuma 2.11 `kumactl install transparent-proxy`. */
export const TRANSPARENT_PROXY_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'install transparent-proxy',
    summary: 'Redirect the TCP traffic of this network namespace to its proxy',
    details:
      'Needs root with NET_ADMIN. Running it again replaces the rules. DNS, the application talking to itself, and what the proxy itself sends are left alone.',
    options: [
      {
        flags: '--kuma-dp-user <uid>',
        description: 'number of the user that runs the proxy; its own traffic is not redirected',
        default: '5678',
      },
      { flags: '--kuma-dp-group <gid>', description: 'number of its group', default: 'the same number' },
      { flags: '--redirect-inbound <true|false>', description: 'redirect what comes in', default: 'true' },
      { flags: '--redirect-inbound-port <port>', description: 'where the proxy takes what comes in', default: '15006' },
      { flags: '--redirect-outbound-port <port>', description: 'where it takes what goes out', default: '15001' },
      { flags: '--exclude-inbound-ports <ports>', description: 'ports reached directly, as 22,8000-8100' },
      { flags: '--exclude-outbound-ports <ports>', description: 'ports of destinations reached directly' },
      { flags: '--exclude-inbound-ips <cidrs>', description: 'clients that come in directly, as 10.0.0.0/8,fd00::/8' },
      { flags: '--exclude-outbound-ips <cidrs>', description: 'destinations reached directly' },
      {
        flags: '--exclude-outbound-ports-for-uids <list>',
        description: '[protocol:]ports:uids of users that reach ports directly, as 443:1000-2000',
        repeat: true,
      },
      { flags: '--ip-family-mode <mode>', description: 'dualstack or ipv4', default: 'dualstack' },
      { flags: '--drop-invalid-packets', description: 'drop packets that belong to no known connection' },
      {
        flags: '--backend <tool>',
        description: 'what sets the rules',
        choices: ['nft', 'iptables', 'iptables-legacy'],
        default: 'the first of them that works',
      },
      dryRun,
      { flags: '--redirect-dns', description: 'refused: the proxy answers no DNS in this version', hidden: true },
      { flags: '--redirect-all-dns-traffic', description: 'refused, as --redirect-dns', hidden: true },
    ],
    examples: [
      ['With the defaults', 'weft install transparent-proxy'],
      ['SSH stays direct', 'weft install transparent-proxy --exclude-inbound-ports 22'],
      ['Look first', 'weft install transparent-proxy --dry-run'],
    ],
    load: () => import('./commands/transparent-proxy.ts').then((module) => ({ run: module.install })),
  },
  {
    path: 'uninstall transparent-proxy',
    summary: 'Stop redirecting traffic to the proxy',
    options: [dryRun],
    examples: [['', 'weft uninstall transparent-proxy']],
    load: () => import('./commands/transparent-proxy.ts').then((module) => ({ run: module.uninstall })),
  },
];
