import type { Protocol } from './snapshot.ts';

/** What each protocol can also be treated as, best first. Source: Kuma 2.11 `pkg/util/protocol`. */
const STACKS: Readonly<Record<Protocol, readonly Protocol[]>> = {
  grpc: ['grpc', 'http2', 'tcp'],
  http2: ['http2', 'tcp'],
  http: ['http', 'tcp'],
  kafka: ['kafka', 'tcp'],
  tcp: ['tcp'],
};

/** Value of a `kuma.io/protocol` tag, in any case; `tcp` when absent or unknown. */
export function parseProtocol(tag: string | undefined): Protocol {
  const name = (tag ?? '').toLowerCase();
  return Object.hasOwn(STACKS, name) ? (name as Protocol) : 'tcp';
}

/** The best protocol that all of these speak; `tcp` for none. gRPC and HTTP/2 have HTTP/2 in common. */
export function commonProtocol(protocols: Iterable<Protocol>): Protocol {
  let common: Protocol | undefined;
  for (const protocol of protocols) {
    if (common === undefined) common = protocol;
    else if (common !== protocol) common = STACKS[common].find((one) => STACKS[protocol].includes(one)) ?? 'tcp';
    if (common === 'tcp') return common;
  }
  return common ?? 'tcp';
}
