import { isIP, isIPv6 } from 'node:net';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AddressSchema, CidrRangeSchema } from '@weft/protos/envoy/config/core/v3/address_pb.js';

export type AddressInit = MessageInitShape<typeof AddressSchema>;
export type CidrInit = MessageInitShape<typeof CidrRangeSchema>;

export function socketAddress(address: string, port: number): AddressInit {
  return {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  };
}

/** A unix socket. */
export function pipeAddress(path: string): AddressInit {
  return { address: { case: 'pipe', value: { path } } };
}

/** Clients whose requests count as internal. Source: Kuma 2.11 default of `ipam.knownInternalCIDRs`. */
export const DEFAULT_INTERNAL_CIDRS: readonly string[] = [
  '10.0.0.0/8',
  '192.168.0.0/16',
  '172.16.0.0/12',
  'fc00::/7',
  'fd00::/8',
  '127.0.0.1/32',
  '::1/128',
];

export const LOOPBACK_CIDRS: readonly string[] = ['127.0.0.1/32', '::1/128'];

/** Envoy's form of `10.0.0.0/8`. IPv6 ranges are left out on a proxy without IPv6; what is no range is left out too. */
export function cidrRanges(cidrs: readonly string[], ipv6Enabled: boolean): readonly CidrInit[] {
  return cidrs.flatMap((cidr) => {
    const [addressPrefix = '', length = ''] = cidr.split('/');
    if (isIP(addressPrefix) === 0 || !/^\d{1,3}$/.test(length)) return [];
    if (isIPv6(addressPrefix) && !ipv6Enabled) return [];
    return [{ addressPrefix, prefixLen: Number(length) }];
  });
}
