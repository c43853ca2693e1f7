import { isIP } from 'node:net';

/** What of an HTTP request decides whether it is a direct call from this machine. */
export interface RequestOrigin {
  /** Address of the TCP peer, without port. */
  readonly peerAddress: string;
  /** Lower-case names; several values of one name joined or listed, as Node gives them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** A proxy that forwards for someone else says so in one of these; their mere presence ends the privilege. RFC 7239 and common use. */
const FORWARDING_HEADERS = ['forwarded', 'x-real-ip', 'x-client-ip', 'true-client-ip', 'cf-connecting-ip', 'via'];

/**
 * True when the request comes straight from a program on this machine, and not from a web page in its browser or through a proxy:
 * loopback peer; no forwarding header; `Host` names this machine (so DNS rebinding fails); the browser, if it is one, says the page has the same origin.
 * Source: compatibility reference 5.3; CVE-2026-45021.
 */
export function isDirectLoopback(request: RequestOrigin): boolean {
  const { headers } = request;
  if (!isLoopbackHost(request.peerAddress)) return false;
  if (Object.keys(headers).some((name) => FORWARDING_HEADERS.includes(name) || name.startsWith('x-forwarded-')))
    return false;
  const host = parseAuthority(single(headers['host']), undefined);
  if (!host || !isLoopbackHost(host.name)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return headers['origin'] === undefined || isSameOrigin(single(headers['origin']), single(headers['host']));
}

function single(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : '';
}

function isSameOrigin(origin: string, host: string): boolean {
  const match = /^(https?):\/\/(.*)$/i.exec(origin);
  if (!match) return false;
  const defaultPort = match[1]!.toLowerCase() === 'https' ? 443 : 80;
  const a = parseAuthority(match[2]!, defaultPort);
  const b = parseAuthority(host, defaultPort);
  return a !== undefined && b !== undefined && isLoopbackHost(a.name) && a.name === b.name && a.port === b.port;
}

/**
 * Host and port of an authority. Strict on purpose and without a URL parser, which would turn `2130706433` or `127.1` into a loopback address.
 * `undefined`: anything unusual.
 */
function parseAuthority(
  text: string,
  defaultPort: number | undefined,
): { name: string; port: number | undefined } | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+)(?::([0-9]{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return {
    name: match[1]!
      .toLowerCase()
      .replace(/^\[|\]$/g, '')
      .replace(/\.$/, ''),
    port,
  };
}

/** `localhost` or a loopback address (127.0.0.0/8, ::1, and IPv4 inside IPv6). */
function isLoopbackHost(name: string): boolean {
  const host = name.toLowerCase().replace(/^::ffff:(?=[0-9.]+$)/, '');
  if (host === 'localhost') return true;
  if (isIP(host) === 4) return host.startsWith('127.');
  return isIP(host) === 6 && (host === '::1' || /^(0{1,4}:){7}0{0,3}1$/.test(host));
}
