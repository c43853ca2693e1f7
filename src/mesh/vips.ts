/** Where the application's plain connections to a service go, so that its proxy can take them. Only on Kubernetes: elsewhere outbounds say it. */
import { sameJson } from './same.ts';
import type { MeshSnapshot } from './snapshot.ts';

/** `addresses`: the service's own, with its port. `endpoints`: it has none (headless), its clients connect to each endpoint. */
export type ServiceVip =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly port: number }
  | { readonly kind: 'endpoints' };

/** Addresses by `kuma.io/service`, from outside the store. */
export interface ServiceVips {
  /** `undefined`: nothing to take, such as of a service that is no Kubernetes Service. */
  of(service: string): ServiceVip | undefined;
  /** Called with the services whose answer is another one now. Returns the unsubscriber. */
  subscribe(listener: (services: ReadonlySet<string>) => void): () => void;
}

/**
 * The vips of a mesh after the named services changed in some way: those of services that are in the mesh. What did not change keeps its
 * identity, up to the whole map.
 */
export function newVips(
  before: MeshSnapshot['vips'],
  services: MeshSnapshot['services'],
  touched: Iterable<string>,
  source: Pick<ServiceVips, 'of'>,
): { readonly vips: MeshSnapshot['vips']; readonly changed: ReadonlySet<string> } {
  let vips: Map<string, ServiceVip> | undefined;
  const changed = new Set<string>();
  for (const service of touched) {
    const old = before.get(service);
    const now = services.has(service) ? source.of(service) : undefined;
    if (old === now || sameJson(old, now)) continue;
    changed.add(service);
    vips ??= new Map(before);
    if (now === undefined) vips.delete(service);
    else vips.set(service, now);
  }
  return { vips: vips ?? before, changed };
}
