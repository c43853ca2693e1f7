/**
 * Which endpoints a CA backend may call (reliability S5): whoever may edit a Mesh must not make the control plane talk to the cloud's metadata service, to
 * itself or to its neighbours on the same machine. Pure.
 */
import { BlockList, isIP, isIPv6 } from 'node:net';

/** One entry of the setting `weft.ca.allowedEndpoints`: what is refused otherwise is fine when it is named there. */
export type AllowedEndpoint =
  /** `port` absent: every port. */
  | { readonly kind: 'name'; readonly name: string; readonly port: number | undefined }
  /** An address or a CIDR. */
  | { readonly kind: 'range'; readonly range: BlockList; readonly port: number | undefined };

export interface EgressRule {
  /** Why this URL cannot be called, before any name is looked up; `undefined`: go on. */
  urlProblem(url: string): string | undefined;
  /** Why the host `host` (a name, or an address without brackets) may not be called at `address`; `undefined`: it may. */
  addressProblem(host: string, address: string, port: number): string | undefined;
}

/** Sources: RFC 1122, 3927, 4291, 6052 (NAT64), and the documentation of AWS, Google, Azure, Oracle and Alibaba for their metadata services. */
const REFUSED: readonly (readonly [what: string, ...cidrs: string[]])[] = [
  ['a loopback address', '127.0.0.0/8', '::1/128', '64:ff9b::7f00:0/104'],
  ['an unspecified address', '0.0.0.0/8', '::/96', '64:ff9b::/104'],
  ['a link-local or metadata address', '169.254.0.0/16', 'fe80::/10', '64:ff9b::a9fe:0/112'],
  [
    'a metadata address',
    'fd00:ec2::/32',
    'fd20:ce::254/128',
    '168.63.129.16/32',
    '192.0.0.192/32',
    '100.100.100.200/32',
  ],
];

/** Reads `host`, `host:port`, `address`, `[address]:port` or a CIDR; `undefined` when it is none of them. */
export function parseAllowedEndpoint(text: string): AllowedEndpoint | undefined {
  const cidr = /^([0-9A-Fa-f:.]+)\/(\d{1,3})$/.exec(text);
  if (cidr !== null) {
    const range = rangeOf(text);
    return range === undefined ? undefined : { kind: 'range', range, port: undefined };
  }
  if (isIP(text) !== 0) return { kind: 'range', range: addressRange(text), port: undefined };
  const parts = /^(?:\[([^\]]+)\]|([^:[\]/]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, bracketed, plain = '', portText] = parts;
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (bracketed !== undefined) {
    return isIPv6(bracketed) ? { kind: 'range', range: addressRange(bracketed), port } : undefined;
  }
  if (isIP(plain) !== 0) return { kind: 'range', range: addressRange(plain), port };
  return HOST_NAME.test(plain) ? { kind: 'name', name: plain.toLowerCase(), port } : undefined;
}

/** Entries that cannot be read are left out: the configuration has refused them before. */
export function createEgressRule(allowedEndpoints: readonly string[]): EgressRule {
  const allowed = allowedEndpoints.map(parseAllowedEndpoint).filter((entry) => entry !== undefined);
  const refused = REFUSED.map(([what, ...cidrs]) => ({ what, range: rangesOf(cidrs) }));

  return {
    urlProblem(url) {
      const parsed = URL.canParse(url) ? new URL(url) : undefined;
      if (parsed === undefined) return 'is not a URL, such as https://vault.example.com:8200';
      if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') {
        return `has the scheme ${parsed.protocol.slice(0, -1)}, which is not called; use https`;
      }
      if (parsed.username !== '' || parsed.password !== '') return 'has a user or password in it; leave them out';
      const host = hostOf(parsed);
      return isIP(host) === 0 ? undefined : this.addressProblem(host, host, portOf(parsed));
    },
    addressProblem(host, address, port) {
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      const found = refused.find(({ range }) => range.check(address, family));
      if (found === undefined) return undefined;
      const name = host.toLowerCase().replace(/\.$/, '');
      const excepted = allowed.some(
        (entry) =>
          (entry.port === undefined || entry.port === port) &&
          (entry.kind === 'name' ? entry.name === name : entry.range.check(address, family)),
      );
      if (excepted) return undefined;
      const where = host === address ? address : `${host} (${address})`;
      return `${where} is ${found.what}, which no CA backend may call unless it is in the control plane's setting weft.ca.allowedEndpoints`;
    },
  };
}

/** The host of a URL: a name, or an address without brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** The port a URL is called at. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

const HOST_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?$/;

function addressRange(address: string): BlockList {
  const list = new BlockList();
  list.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  return list;
}

function rangesOf(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) addRange(list, cidr);
  return list;
}

function rangeOf(cidr: string): BlockList | undefined {
  const list = new BlockList();
  return addRange(list, cidr) ? list : undefined;
}

function addRange(list: BlockList, cidr: string): boolean {
  const [address = '', bits = ''] = cidr.split('/');
  const family = isIP(address);
  if (family === 0 || Number(bits) > (family === 6 ? 128 : 32)) return false;
  list.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  return true;
}
