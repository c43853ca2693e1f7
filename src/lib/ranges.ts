/** Lists as flags and annotations write them: ports and user ids (`22,8000-8100`), IP addresses and CIDRs. */
import { isIP } from 'node:net';

/** Inclusive. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** Connections of some users to some ports. Neither list is empty. */
export interface PortsForUids {
  readonly ports: readonly NumberRange[];
  readonly uids: readonly NumberRange[];
}

/** What the parsers here take, for messages: "it takes ...". */
export const RANGE_FORMS = {
  ports: 'ports from 1 to 65535 and ranges of them, such as 22,8000-8100',
  cidrs: 'IP addresses and CIDRs, such as 10.0.0.0/8,192.0.2.1,fd00::/8',
  portsForUids: '[protocol:]ports:uids, several with ; between, such as 443:1000-2000;tcp:80,8080:0',
} as const;

export const LARGEST_PORT = 65_535;
/** Linux keeps -1 for "nobody asked". */
export const LARGEST_UID = 4_294_967_294;

/**
 * `22,8000-8100` as ranges, sorted and merged, so that they never overlap; empty text is an empty list. `undefined` when a part is not a number
 * or range between `least` and `most`.
 */
function parseRanges(text: string, least: number, most: number): readonly NumberRange[] | undefined {
  const ranges: NumberRange[] = [];
  for (const part of partsOf(text)) {
    const [, first, last = first] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    const range = { from: Number(first), to: Number(last) };
    if (!(range.from >= least && range.from <= range.to && range.to <= most)) return undefined;
    ranges.push(range);
  }
  return mergeRanges(ranges);
}

/** Ports 1 to 65535, as `parseRanges`. */
export function parsePortRanges(text: string): readonly NumberRange[] | undefined {
  return parseRanges(text, 1, LARGEST_PORT);
}

/** The same numbers, sorted, without overlaps. */
export function mergeRanges(ranges: readonly NumberRange[]): readonly NumberRange[] {
  const merged: NumberRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1) {
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

/** `8080` or `8000-8100`; `separator` is what stands between the two. */
export function rangeText({ from, to }: NumberRange, separator = '-'): string {
  return from === to ? String(from) : `${from}${separator}${to}`;
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

/** `10.0.0.0/8,fd00::/8,192.0.2.1` as a list; `undefined` when a part is neither an address nor a CIDR. */
export function parseCidrs(text: string): readonly string[] | undefined {
  const cidrs = partsOf(text);
  return cidrs.every(isCidr) ? cidrs : undefined;
}

/** True for `10.0.0.1`, `10.0.0.0/8` and their IPv6 forms. */
function isCidr(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

/** 4 or 6, of an address or CIDR. */
export function familyOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4;
}

function partsOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
