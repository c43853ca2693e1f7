import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DurationSchema } from '@bufbuild/protobuf/wkt';

export function seconds(count: number): MessageInitShape<typeof DurationSchema> {
  return { seconds: BigInt(count) };
}

/**
 * Timeouts of a proxy that no policy speaks of: what Kuma's initial policy `mesh-timeout-all-<mesh>` sets. The server's side is always
 * longer than the client's, or off.
 */
export const INBOUND_TIMEOUTS = { connectS: 10, idleS: 7200, streamIdleS: 3600, requestS: 0 } as const;
export const OUTBOUND_TIMEOUTS = { connectS: 5, idleS: 3600, streamIdleS: 1800, requestS: 15 } as const;
