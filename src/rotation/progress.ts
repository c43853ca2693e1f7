import type { RotatingProxy, Rotation, Sighting } from './rotation.ts';

/** How far a service is: proxies of which each is counted in every service it has. */
export interface ServiceProgress {
  readonly service: string;
  readonly proxies: number;
  readonly connected: number;
  /** Not connected, with a certificate that has not expired: may still be serving. */
  readonly offline: number;
  /** Connected, and has acknowledged the CA that shall issue. */
  readonly trusting: number;
  /** Connected, and has acknowledged a certificate of the CA that shall issue. */
  readonly renewed: number;
}

export interface RotationProgress {
  /** Each proxy once. */
  readonly total: Omit<ServiceProgress, 'service'>;
  /** Sorted by name. */
  readonly services: readonly ServiceProgress[];
}

type Counts = { -readonly [Key in keyof RotationProgress['total']]: number };

/** Counts per service; on the way back, those of the old CA. Pure. */
export function rotationProgress(rotation: Rotation, seen: Sighting): RotationProgress {
  const isBack = rotation.phase === 'RollingBack' || rotation.phase === 'RolledBack';
  const [backend, roots] = isBack ? [rotation.from, seen.oldRoots] : [rotation.to, seen.newRoots];
  const total = noCounts();
  const services = new Map<string, Counts>();
  for (const proxy of seen.proxies) {
    const counted = [total];
    for (const service of proxy.services) {
      let counts = services.get(service);
      if (counts === undefined) {
        counts = noCounts();
        services.set(service, counts);
      }
      counted.push(counts);
    }
    for (const counts of counted) count(counts, proxy, backend, roots, seen.now);
  }
  return {
    total,
    services: [...services].sort(([a], [b]) => (a < b ? -1 : 1)).map(([service, counts]) => ({ service, ...counts })),
  };
}

function noCounts(): Counts {
  return { proxies: 0, connected: 0, offline: 0, trusting: 0, renewed: 0 };
}

function count(
  counts: Counts,
  { connected, trusts, leaf }: RotatingProxy,
  backend: string,
  roots: ReadonlySet<string>,
  now: number,
): void {
  counts.proxies += 1;
  if (!connected) {
    if (leaf !== undefined && leaf.notAfter > now) counts.offline += 1;
    return;
  }
  counts.connected += 1;
  if (roots.size > 0 && [...roots].every((root) => trusts.has(root))) counts.trusting += 1;
  if (leaf?.backend === backend && roots.has(leaf.root)) counts.renewed += 1;
}
