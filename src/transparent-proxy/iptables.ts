import { familyOf, type NumberRange, rangeText } from '../lib/ranges.ts';
import { DNS_PORT, headerOf, LOOPBACK, PROXY_SOURCE, type RedirectConfig } from './config.ts';

/** Chains of Kuma, so that its tools and its readers find them. Source: Kuma 2.11 `pkg/transparentproxy/iptables/consts`. */
const INBOUND = 'KUMA_MESH_INBOUND';
const OUTBOUND = 'KUMA_MESH_OUTBOUND';
const PROXY = 'KUMA_MESH_PROXY';
const INVALID = 'KUMA_MESH_INVALID';
const OURS = /^KUMA_MESH_/;

/**
 * Text for `iptables-restore --noflush` (`family` 4) or `ip6tables-restore --noflush` (6). `saved` is what `iptables-save` shows: what an
 * earlier run made is taken away in the same transaction.
 */
export function iptablesRules(config: RedirectConfig, family: 4 | 6, saved: string): string {
  const chains = config.inbound.enabled ? [INBOUND, OUTBOUND, PROXY] : [OUTBOUND, PROXY];
  const tables = [
    table('nat', removalOf(saved, 'nat'), chains, [
      ...(config.inbound.enabled ? [`-A PREROUTING -p tcp -j ${INBOUND}`, ...inbound(config, family)] : []),
      `-A OUTPUT -p tcp -j ${OUTBOUND}`,
      ...outbound(config, family),
      ...proxy(config, family),
    ]),
    table(
      'mangle',
      removalOf(saved, 'mangle'),
      config.dropInvalidPackets ? [INVALID] : [],
      config.dropInvalidPackets
        ? [`-A PREROUTING -j ${INVALID}`, `-A ${INVALID} -m conntrack --ctstate INVALID -j DROP`]
        : [],
    ),
  ];
  return [headerOf(config), ...tables.flat(), ''].join('\n');
}

/** Text for `iptables-restore --noflush` that takes away what `saved` shows of us. */
export function iptablesRemoval(config: Pick<RedirectConfig, 'version'>, saved: string): string {
  const tables = (['nat', 'mangle'] as const).map((name) => table(name, removalOf(saved, name), [], []));
  return [headerOf(config), ...tables.flat(), ''].join('\n');
}

/** Nothing to do in a table: it is not named, since a kernel may lack it. */
function table(
  name: string,
  removal: readonly string[],
  chains: readonly string[],
  rules: readonly string[],
): readonly string[] {
  const commands = [...removal, ...chains.map((chain) => `-N ${chain}`), ...rules];
  return commands.length === 0 ? [] : [`*${name}`, ...commands, 'COMMIT'];
}

/** Commands that delete our jumps, then empty and delete our chains. */
function removalOf(saved: string, name: string): string[] {
  const lines = new RegExp(`^\\*${name}$([^]*?)^COMMIT$`, 'm').exec(saved)?.[1]?.split('\n') ?? [];
  const chains = lines.flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []).filter((chain) => OURS.test(chain));
  const jumps = lines.filter((line) => {
    const [, from = '', to = ''] = /^-A (\S+) .*-[jg] (\S+)/.exec(line) ?? [];
    return OURS.test(to) && !OURS.test(from);
  });
  return [
    ...jumps.map((line) => line.replace(/^-A /, '-D ')),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
  ];
}

function inbound({ inbound }: RedirectConfig, family: 4 | 6): string[] {
  return [
    ...toPorts(INBOUND, inbound.excludePorts),
    ...inbound.excludeIps
      .filter((cidr) => familyOf(cidr) === family)
      .map((cidr) => `-A ${INBOUND} -s ${cidr} -j RETURN`),
    `-A ${INBOUND} -p tcp -j REDIRECT --to-ports ${inbound.port}`,
  ];
}

function outbound({ outbound, proxyUid, proxyGid }: RedirectConfig, family: 4 | 6): string[] {
  return [
    `-A ${OUTBOUND} -s ${PROXY_SOURCE[family]}/${family === 4 ? 32 : 128} -o lo -j RETURN`,
    // -g: what ends there ends OUTBOUND too.
    `-A ${OUTBOUND} -m owner --uid-owner ${proxyUid} -g ${PROXY}`,
    `-A ${OUTBOUND} -m owner --gid-owner ${proxyGid} -g ${PROXY}`,
    // The application to itself.
    `-A ${OUTBOUND} -o lo -j RETURN`,
    `-A ${OUTBOUND} -p tcp --dport ${DNS_PORT} -j RETURN`,
    ...toPorts(OUTBOUND, outbound.excludePorts),
    ...outbound.excludePortsForUids.flatMap(({ ports, uids }) =>
      uids.flatMap((uid) => toPorts(`${OUTBOUND} -m owner --uid-owner ${rangeText(uid)}`, ports)),
    ),
    ...outbound.excludeIps
      .filter((cidr) => familyOf(cidr) === family)
      .map((cidr) => `-A ${OUTBOUND} -d ${cidr} -j RETURN`),
    `-A ${OUTBOUND} -p tcp -j REDIRECT --to-ports ${outbound.port}`,
  ];
}

/** The proxy's own connections: out they go, but one to the Pod's own address comes in like any other client's. */
function proxy({ inbound }: RedirectConfig, family: 4 | 6): string[] {
  return inbound.enabled
    ? [`-A ${PROXY} -p tcp -o lo ! -d ${LOOPBACK[family]} -j REDIRECT --to-ports ${inbound.port}`]
    : [];
}

function toPorts(chainAndMatch: string, ports: readonly NumberRange[]): string[] {
  return ports.map((range) => `-A ${chainAndMatch} -p tcp --dport ${rangeText(range, ':')} -j RETURN`);
}
