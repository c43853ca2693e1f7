/** Addresses of Services, by the `kuma.io/service` of their ports. Every control plane has them; nothing of it is written anywhere. */
import { sameJson } from '../../mesh/same.ts';
import type { ServiceVip, ServiceVips } from '../../mesh/vips.ts';
import type { Service } from '../api/core-kinds.ts';
import type { ListWatch } from '../api/list-watch.ts';
import { isHeadless, isIgnored, serviceTag, tcpPorts } from './services.ts';

/** Follows a list-watch of all Services, which stays the caller's. */
export function createServiceVips(services: ListWatch<Service>): ServiceVips {
  const vips = new Map<string, ServiceVip>();
  const listeners = new Set<(services: ReadonlySet<string>) => void>();

  function replace(before: Service | undefined, after: Service | undefined): void {
    const old = vipsOf(before);
    const now = vipsOf(after);
    const changed = [...new Set([...old.keys(), ...now.keys()])].filter((tag) => !sameJson(old.get(tag), now.get(tag)));
    for (const tag of changed) {
      const vip = now.get(tag);
      if (vip === undefined) vips.delete(tag);
      else vips.set(tag, vip);
    }
    if (changed.length > 0) for (const listener of listeners) listener(new Set(changed));
  }

  for (const service of services.items()) replace(undefined, service);
  services.subscribe((event) => {
    if (event.op === 'upsert') replace(event.old, event.object);
    else replace(event.object, undefined);
  });
  return {
    of: (service) => vips.get(service),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Empty for a Service that is in no mesh, or has no address yet. */
function vipsOf(service: Service | undefined): ReadonlyMap<string, ServiceVip> {
  if (service === undefined || isIgnored(service)) return new Map();
  const { clusterIP = '', clusterIPs = [clusterIP] } = service.spec ?? {};
  const addresses = clusterIPs.filter((address) => address !== '');
  if (addresses.length === 0) return new Map();
  const headless = isHeadless(service);
  return new Map(
    tcpPorts(service).map((port) => [
      serviceTag(service, port),
      headless ? { kind: 'endpoints' } : { kind: 'addresses', addresses, port: port.port },
    ]),
  );
}
