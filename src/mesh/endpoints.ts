import type { DataplaneInbound, DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import { sameJson } from './same.ts';
import type { Endpoint } from './snapshot.ts';

const SERVICE = 'kuma.io/service';
const ZONE = 'kuma.io/zone';
/** Port of an inbound that stands for "this workload has no Service"; nothing listens there. Source: Kuma 2.11 `TCPPortReserved`. */
const NO_SERVICE_PORT = 49151;

/** A Dataplane's endpoints by `kuma.io/service`. Inbounds in state `Ignored`, and those without a service or address, are left out. */
export function endpointsOf(dataplane: Resource<DataplaneSpec> | undefined): ReadonlyMap<string, readonly Endpoint[]> {
  const networking = dataplane?.spec.networking;
  const byService = new Map<string, Endpoint[]>();
  for (const inbound of networking?.inbound ?? []) {
    const service = inbound.tags?.[SERVICE];
    const address = firstText(networking?.advertisedAddress, inbound.address, networking?.address);
    if (!service || address === undefined || inbound.state === 'Ignored' || inbound.port === NO_SERVICE_PORT) continue;
    const tags = sortedTags(inbound.tags ?? {});
    const endpoint: Endpoint = {
      address,
      port: inbound.port,
      tags,
      zone: tags[ZONE] ?? '',
      healthy: isHealthy(inbound),
      dataplane: dataplane?.meta.name ?? '',
    };
    const list = byService.get(service);
    if (list) list.push(endpoint);
    else byService.set(service, [endpoint]);
  }
  return byService;
}

/** Takes traffic: state `Ready` (or none), and the older `health` does not say otherwise. Source: Kuma 2.11 `GetHealthyInbounds`. */
function isHealthy(inbound: DataplaneInbound): boolean {
  if (inbound.state !== undefined && inbound.state !== 'Ready') return false;
  return inbound.health === undefined || inbound.health.ready === true;
}

function firstText(...candidates: (string | undefined)[]): string | undefined {
  return candidates.find((text) => text !== undefined && text !== '');
}

function sortedTags(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Order of a service's endpoints: address, port, then what makes it total. */
function compareEndpoints(a: Endpoint, b: Endpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  if (a.port !== b.port) return a.port - b.port;
  if (a.dataplane !== b.dataplane) return a.dataplane < b.dataplane ? -1 : 1;
  return 0;
}

/**
 * The endpoints of one service after some Dataplanes changed: the old list without theirs, plus what they have now. An endpoint that stayed
 * the same is the same object, and so is the list when all of them did. Linear in the list, plus sorting what is new.
 */
export function replaceEndpoints(
  old: readonly Endpoint[],
  touched: ReadonlySet<string>,
  current: readonly Endpoint[],
): readonly Endpoint[] {
  const former = new Map<string, Endpoint>();
  const kept: Endpoint[] = [];
  for (const endpoint of old) {
    if (touched.has(endpoint.dataplane)) former.set(placeOf(endpoint), endpoint);
    else kept.push(endpoint);
  }
  const fresh = current
    .map((endpoint) => {
      const before = former.get(placeOf(endpoint));
      return before !== undefined && sameJson(before, endpoint) ? before : endpoint;
    })
    .sort(compareEndpoints);
  const merged = merge(kept, fresh);
  return merged.length === old.length && merged.every((endpoint, index) => endpoint === old[index]) ? old : merged;
}

function placeOf(endpoint: Endpoint): string {
  return `${endpoint.dataplane} ${endpoint.address} ${endpoint.port}`;
}

function merge(a: readonly Endpoint[], b: readonly Endpoint[]): readonly Endpoint[] {
  const merged: Endpoint[] = [];
  let at = 0;
  for (const endpoint of a) {
    while (at < b.length && compareEndpoints(b[at]!, endpoint) < 0) merged.push(b[at++]!);
    merged.push(endpoint);
  }
  while (at < b.length) merged.push(b[at++]!);
  return merged;
}
