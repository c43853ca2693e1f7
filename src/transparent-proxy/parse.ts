/** Text of flags to a checked configuration. */
import {
  LARGEST_PORT,
  LARGEST_UID,
  type NumberRange,
  parseCidrs,
  parsePortRanges,
  parseRanges,
} from '../lib/ranges.ts';
import type { PortsForUids, RedirectConfig } from './config.ts';

/** Raw values as flags give them; absent is the default. Source of names, forms and defaults: Kuma 2.11 `kumactl install transparent-proxy`. */
export interface RedirectOptions {
  readonly proxyUid?: string;
  readonly proxyGid?: string;
  readonly redirectInbound?: string;
  readonly redirectInboundPort?: string;
  readonly redirectOutboundPort?: string;
  readonly excludeInboundPorts?: string;
  readonly excludeOutboundPorts?: string;
  readonly excludeInboundIps?: string;
  readonly excludeOutboundIps?: string;
  /** `[tcp|udp|*:]ports:uids`, several with `;` between. */
  readonly excludeOutboundPortsForUids?: string;
  readonly ipFamilyMode?: string;
  readonly dropInvalidPackets?: string;
}

/** One value that can't be used: which, and what it takes. */
export interface RedirectProblem {
  readonly option: keyof RedirectOptions;
  readonly value: string;
  readonly wanted: string;
}

export const PORTS_FORM = 'ports from 1 to 65535 and ranges of them, such as 22,8000-8100';
export const CIDRS_FORM = 'IP addresses and CIDRs, such as 10.0.0.0/8,192.0.2.1,fd00::/8';
export const PORTS_FOR_UIDS_FORM = '[protocol:]ports:uids, several with ; between, such as 443:1000-2000;tcp:80,8080:0';

/** The configuration, or everything that is wrong with the options. */
export function parseRedirectOptions(
  options: RedirectOptions,
  version: string,
): { readonly config: RedirectConfig } | { readonly problems: readonly RedirectProblem[] } {
  const problems: RedirectProblem[] = [];
  const read = <T>(
    option: keyof RedirectOptions,
    standard: string,
    wanted: string,
    parse: (text: string) => T | undefined,
  ) => {
    const value = options[option] ?? standard;
    const parsed = parse(value);
    if (parsed === undefined) problems.push({ option, value, wanted });
    return parsed;
  };
  const port = (option: keyof RedirectOptions, standard: string) =>
    read(option, standard, 'a port from 1 to 65535', (text) => number(text, 1, LARGEST_PORT)) ?? 0;
  const id = (option: keyof RedirectOptions) =>
    read(option, '5678', `a number from 1 to ${LARGEST_UID}`, (text) => number(text, 1, LARGEST_UID)) ?? 0;
  const ports = (option: keyof RedirectOptions) => read(option, '', PORTS_FORM, parsePortRanges) ?? [];
  const ips = (option: keyof RedirectOptions) => read(option, '', CIDRS_FORM, parseCidrs) ?? [];
  const flag = (option: keyof RedirectOptions, standard: string) =>
    read(option, standard, 'true or false', boolean) ?? false;
  const config: RedirectConfig = {
    version,
    proxyUid: id('proxyUid'),
    proxyGid: id('proxyGid'),
    inbound: {
      enabled: flag('redirectInbound', 'true'),
      port: port('redirectInboundPort', '15006'),
      excludePorts: ports('excludeInboundPorts'),
      excludeIps: ips('excludeInboundIps'),
    },
    outbound: {
      port: port('redirectOutboundPort', '15001'),
      excludePorts: ports('excludeOutboundPorts'),
      excludeIps: ips('excludeOutboundIps'),
      excludePortsForUids: read('excludeOutboundPortsForUids', '', PORTS_FOR_UIDS_FORM, parsePortsForUids) ?? [],
    },
    ipFamilyMode: read('ipFamilyMode', 'dualstack', 'dualstack or ipv4', familyMode) ?? 'dualstack',
    dropInvalidPackets: flag('dropInvalidPackets', 'false'),
  };
  return problems.length > 0 ? { problems } : { config };
}

/** `443:1000-2000;tcp:80:0`; UDP is not redirected, so entries for it ask for nothing. `undefined` when an entry is of another form. */
export function parsePortsForUids(text: string): readonly PortsForUids[] | undefined {
  const found: PortsForUids[] = [];
  for (const entry of text.split(';').map((part) => part.trim())) {
    if (entry === '') continue;
    const [uidText = '', portText = '', protocol = '*', ...rest] = entry.split(':').reverse();
    const uids = parseRanges(uidText, 0, LARGEST_UID);
    const ports = portText === '*' ? EVERY_PORT : parsePortRanges(portText);
    if (!uids?.length || !ports?.length || !/^(?:tcp|udp|\*)$/.test(protocol) || rest.length > 0) return undefined;
    if (protocol !== 'udp') found.push({ ports, uids });
  }
  return found;
}

const EVERY_PORT: readonly NumberRange[] = [{ from: 1, to: LARGEST_PORT }];

function number(text: string, least: number, most: number): number | undefined {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : undefined;
}

function boolean(text: string): boolean | undefined {
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

function familyMode(text: string): RedirectConfig['ipFamilyMode'] | undefined {
  const word = text.toLowerCase();
  return word === 'dualstack' || word === 'ipv4' ? word : undefined;
}
