import type { NumberRange, PortsForUids } from '../lib/ranges.ts';

/**
 * What is redirected on one machine or in one Pod. Complete and checked: the rules are built from it as it stands. Names and defaults follow
 * Kuma 2.11 `kumactl install transparent-proxy`.
 */
export interface RedirectConfig {
  /** Version of this program, for the comment in the rules. */
  readonly version: string;
  /** Who Envoy runs as: its own connections are not redirected. */
  readonly proxyUid: number;
  readonly proxyGid: number;
  readonly inbound: InboundRedirect;
  readonly outbound: OutboundRedirect;
  /** `ipv4`: IPv6 is left as it is. */
  readonly ipFamilyMode: 'dualstack' | 'ipv4';
  /** Packets that conntrack calls INVALID are dropped before anything else. */
  readonly dropInvalidPackets: boolean;
}

export interface InboundRedirect {
  readonly enabled: boolean;
  /** Where Envoy listens. */
  readonly port: number;
  readonly excludePorts: readonly NumberRange[];
  /** Clients that reach the application directly. */
  readonly excludeIps: readonly string[];
}

export interface OutboundRedirect {
  readonly port: number;
  readonly excludePorts: readonly NumberRange[];
  /** Destinations that are reached directly. */
  readonly excludeIps: readonly string[];
  readonly excludePortsForUids: readonly PortsForUids[];
}

/** Source address of Envoy's connections to its application, which must not be redirected again. Source: Kuma 2.11 `InPassThroughIPv4`, `InPassThroughIPv6`. */
export const PROXY_SOURCE = { 4: '127.0.0.6', 6: '::6' } as const;
/** Networks of the loopback interface. */
export const LOOPBACK = { 4: '127.0.0.0/8', 6: '::1/128' } as const;
/** DNS over TCP is left alone, as DNS over UDP is: a resolver must work before the proxy does, and with pass-through off. */
export const DNS_PORT = 53;

/** First line of every set of rules. */
export function headerOf(config: Pick<RedirectConfig, 'version'>): string {
  return `# weft ${config.version}: transparent proxy`;
}
