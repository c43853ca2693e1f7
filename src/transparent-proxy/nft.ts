import { familyOf, type NumberRange, rangeText } from '../lib/ranges.ts';
import { DNS_PORT, headerOf, LOOPBACK, PROXY_SOURCE, type RedirectConfig } from './config.ts';

/** Everything lives in one table of its own, so that it comes and goes whole and touches no rule of anybody else. */
const TABLE = 'inet kuma_mesh';

/** Text for `nft -f`: one transaction, which replaces what an earlier run made. */
export function nftRules(config: RedirectConfig): string {
  const chains = [
    ...(config.dropInvalidPackets ? [chain('invalid', 'type filter hook prerouting priority mangle', invalid())] : []),
    ...(config.inbound.enabled ? [chain('inbound', 'type nat hook prerouting priority dstnat', inbound(config))] : []),
    chain('outbound', 'type nat hook output priority -100', outbound(config)),
    chain('proxy', undefined, proxy(config)),
  ];
  return [headerOf(config), forget(), `table ${TABLE} {`, chains.join('\n'), '}', ''].join('\n');
}

/** Text for `nft -f` that takes the rules away; fine when there are none. */
export function nftRemoval(config: Pick<RedirectConfig, 'version'>): string {
  return [headerOf(config), forget(), ''].join('\n');
}

/** Naming a table makes it, so that deleting it never fails. */
function forget(): string {
  return [`table ${TABLE}`, `delete table ${TABLE}`].join('\n');
}

function chain(name: string, hook: string | undefined, rules: readonly string[]): string {
  const lines = [...(hook === undefined ? [] : [`${hook}; policy accept;`]), ...rules];
  return [`  chain ${name} {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n');
}

function invalid(): string[] {
  return ['ct state invalid drop'];
}

function inbound({ inbound, ipFamilyMode }: RedirectConfig): string[] {
  return [
    ...notOurs(ipFamilyMode),
    ...(inbound.excludePorts.length > 0 ? [`tcp dport ${set(inbound.excludePorts)} accept`] : []),
    ...inbound.excludeIps.map((cidr) => `${ip(cidr)} saddr ${cidr} accept`),
    `meta l4proto tcp redirect to :${inbound.port}`,
  ];
}

function outbound({ outbound, ipFamilyMode, proxyUid, proxyGid }: RedirectConfig): string[] {
  return [
    ...notOurs(ipFamilyMode),
    `oifname "lo" ip saddr ${PROXY_SOURCE[4]} accept`,
    `oifname "lo" ip6 saddr ${PROXY_SOURCE[6]} accept`,
    `meta skuid ${proxyUid} goto proxy`,
    `meta skgid ${proxyGid} goto proxy`,
    // The application to itself.
    'oifname "lo" accept',
    `tcp dport ${DNS_PORT} accept`,
    ...(outbound.excludePorts.length > 0 ? [`tcp dport ${set(outbound.excludePorts)} accept`] : []),
    ...outbound.excludePortsForUids.map(({ ports, uids }) => `meta skuid ${set(uids)} tcp dport ${set(ports)} accept`),
    ...outbound.excludeIps.map((cidr) => `${ip(cidr)} daddr ${cidr} accept`),
    `meta l4proto tcp redirect to :${outbound.port}`,
  ];
}

/** The proxy's own connections: out they go, but one to the Pod's own address comes in like any other client's. */
function proxy({ inbound }: RedirectConfig): string[] {
  if (!inbound.enabled) return ['accept'];
  return [
    `oifname "lo" ip daddr != ${LOOPBACK[4]} meta l4proto tcp redirect to :${inbound.port}`,
    `oifname "lo" ip6 daddr != ${LOOPBACK[6]} meta l4proto tcp redirect to :${inbound.port}`,
    'accept',
  ];
}

function notOurs(ipFamilyMode: RedirectConfig['ipFamilyMode']): string[] {
  return ['meta l4proto != tcp accept', ...(ipFamilyMode === 'ipv4' ? ['meta nfproto ipv6 accept'] : [])];
}

function set(ranges: readonly NumberRange[]): string {
  return `{ ${ranges.map((range) => rangeText(range)).join(', ')} }`;
}

function ip(cidr: string): 'ip' | 'ip6' {
  return familyOf(cidr) === 4 ? 'ip' : 'ip6';
}
