import type { MeshSnapshot } from '../mesh/snapshot.ts';

/**
 * Which services already take mesh TLS. In PERMISSIVE mode clients go on in plain text until then, so that switching mTLS on under traffic breaks no request.
 * Once ready, a service stays so while mTLS is on: nobody falls back to plain text. Source: kuma-compat 7, `tls.status` of a MeshService.
 */
export interface TlsReadiness {
  /** `connected`: the proxy has a stream here. One that has none is taken to be ready: it had its certificate before this process started, or serves nobody. */
  ready(snapshot: MeshSnapshot, service: string, connected: (dataplane: string) => boolean): boolean;
  /** The proxy holds its leaf and serves with it; true when that is news. */
  taken(mesh: string, dataplane: string): boolean;
  /** Those of `services` that are ready now and were not among the answers before: their clients have something to change. */
  news(
    snapshot: MeshSnapshot,
    services: Iterable<string>,
    connected: (dataplane: string) => boolean,
  ): ReadonlySet<string>;
  gone(mesh: string, dataplane: string): void;
  /** mTLS is off in this mesh: everybody starts anew. */
  off(mesh: string): void;
}

export function createTlsReadiness(): TlsReadiness {
  interface MeshReadiness {
    readonly takers: Set<string>;
    readonly ready: Set<string>;
    /** Answered by `news`. */
    readonly told: Set<string>;
  }
  const meshes = new Map<string, MeshReadiness>();

  function of(mesh: string): MeshReadiness {
    let one = meshes.get(mesh);
    if (one === undefined) {
      one = { takers: new Set(), ready: new Set(), told: new Set() };
      meshes.set(mesh, one);
    }
    return one;
  }

  function isReady(snapshot: MeshSnapshot, service: string, connected: (dataplane: string) => boolean): boolean {
    const { takers, ready } = of(snapshot.name);
    if (ready.has(service)) return true;
    const endpoints = snapshot.services.get(service)?.endpoints ?? [];
    const all = endpoints.every(({ dataplane }) => takers.has(dataplane) || !connected(dataplane));
    if (all && endpoints.length > 0) ready.add(service);
    return all;
  }

  return {
    ready: isReady,
    taken(mesh, dataplane) {
      const { takers } = of(mesh);
      if (takers.has(dataplane)) return false;
      takers.add(dataplane);
      return true;
    },
    news(snapshot, services, connected) {
      const { told, ready } = of(snapshot.name);
      const fresh = [...services].filter((service) => {
        if (told.has(service)) return false;
        // One without endpoints is ready for the moment only.
        return isReady(snapshot, service, connected) && ready.has(service);
      });
      for (const service of fresh) told.add(service);
      return new Set(fresh);
    },
    gone: (mesh, dataplane) => void meshes.get(mesh)?.takers.delete(dataplane),
    off: (mesh) => void meshes.delete(mesh),
  };
}
