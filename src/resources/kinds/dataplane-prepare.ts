import type { DataplaneSpec } from './dataplane.ts';
import { ZONE_TAG } from './tags.ts';

/**
 * A Dataplane as the control plane stores it: every inbound and the gateway carry the zone; a new one whose health is probed starts as not ready.
 * Returns the same object when nothing changes. Pure. Source: compatibility reference 4.1.
 */
export function prepareDataplane(spec: DataplaneSpec, options: { zone: string; isNew: boolean }): DataplaneSpec {
  const { networking } = spec;
  if (!networking) return spec;
  const withZone = (tags: Readonly<Record<string, string>> | undefined) =>
    options.zone === '' ? tags : { ...tags, [ZONE_TAG]: options.zone };
  const inbound = networking.inbound?.map((item) => {
    const tags = withZone(item.tags);
    return {
      ...item,
      ...(tags ? { tags } : {}),
      ...(options.isNew && item.serviceProbe ? { state: 'NotReady' as const, health: { ready: false } } : {}),
    };
  });
  const gatewayTags = networking.gateway && withZone(networking.gateway.tags);
  return {
    ...spec,
    networking: {
      ...networking,
      ...(inbound ? { inbound } : {}),
      ...(networking.gateway
        ? { gateway: { ...networking.gateway, ...(gatewayTags ? { tags: gatewayTags } : {}) } }
        : {}),
    },
  };
}
