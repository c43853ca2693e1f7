import type { DataplaneInbound, DataplaneSpec } from './dataplane.ts';
import { ZONE_TAG } from './tags.ts';

/**
 * A Dataplane as it is stored: every tag set says the zone ('' : none is set), and, when it is new, inbounds with a `serviceProbe` start
 * as not ready until the probe says otherwise. Source: Kuma 2.11 `dataplaneManager`.
 */
export function storedDataplane(
  spec: DataplaneSpec,
  options: { readonly zone: string; readonly isNew: boolean },
): DataplaneSpec {
  const networking = spec.networking;
  if (networking === undefined) return spec;
  const inbound = networking.inbound?.map((one) => storedInbound(one, options));
  const gateway =
    networking.gateway === undefined
      ? undefined
      : { ...networking.gateway, tags: withZone(networking.gateway.tags, options.zone) };
  return {
    ...spec,
    networking: {
      ...networking,
      ...(inbound === undefined ? {} : { inbound }),
      ...(gateway === undefined ? {} : { gateway }),
    },
  };
}

function storedInbound(
  inbound: DataplaneInbound,
  options: { readonly zone: string; readonly isNew: boolean },
): DataplaneInbound {
  const tagged = { ...inbound, tags: withZone(inbound.tags, options.zone) };
  return options.isNew && inbound.serviceProbe !== undefined
    ? { ...tagged, state: 'NotReady', health: { ready: false } }
    : tagged;
}

function withZone(tags: Readonly<Record<string, string>> | undefined, zone: string): Readonly<Record<string, string>> {
  return zone === '' ? (tags ?? {}) : { ...tags, [ZONE_TAG]: zone };
}
