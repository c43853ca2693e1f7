/** Text of flags to a checked configuration. */
import {
  LARGEST_PORT,
  LARGEST_UID,
  parseCidrs,
  parsePortRanges,
  parsePortsForUids,
  RANGE_FORMS,
} from '../lib/ranges.ts';
import type { RedirectConfig } from './config.ts';

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
  const ports = (option: keyof RedirectOptions) => read(option, '', RANGE_FORMS.ports, parsePortRanges) ?? [];
  const ips = (option: keyof RedirectOptions) => read(option, '', RANGE_FORMS.cidrs, parseCidrs) ?? [];
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
      excludePortsForUids: read('excludeOutboundPortsForUids', '', RANGE_FORMS.portsForUids, parsePortsForUids) ?? [],
    },
    ipFamilyMode: read('ipFamilyMode', 'dualstack', 'dualstack or ipv4', familyMode) ?? 'dualstack',
    dropInvalidPackets: flag('dropInvalidPackets', 'false'),
  };
  return problems.length > 0 ? { problems } : { config };
}

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
