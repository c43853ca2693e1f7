import type { RotationPhase } from '../resources/kinds/ca-rotation.ts';
import type { RotatingProxy, Rotation, RotationAction, Sighting, Waiting } from './rotation.ts';

/** One look at a rotation: it goes into another phase, or something is to be done, or it waits, or it has ended. */
export type Step =
  | { readonly kind: 'enter'; readonly rotation: Rotation }
  | { readonly kind: 'act'; readonly action: RotationAction }
  /** `until`: epoch ms when to look again although nothing was heard. */
  | { readonly kind: 'wait'; readonly waiting: Waiting; readonly until: number | undefined }
  | { readonly kind: 'ended' };

/**
 * What comes next. Never skips a step: the new CA issues only after every connected proxy has acknowledged it, and a CA is dropped only when no living leaf
 * chains to it. The phase follows what is so: when an action was done and the phase not written, the next look writes it. Pure.
 */
export function nextStep(rotation: Rotation, seen: Sighting): Step {
  switch (rotation.phase) {
    case 'Trusting':
      return trusting(rotation, seen);
    case 'Issuing':
      return issuing(rotation, seen);
    case 'Retiring':
      return retiring(rotation, seen);
    case 'RollingBack':
      return rollingBack(rotation, seen);
    case 'Done':
    case 'RolledBack':
    case 'Cancelled':
      return { kind: 'ended' };
    default:
      return rotation.phase satisfies never;
  }
}

/** The rotation in another phase from `now` (epoch ms) on. */
export function enter(rotation: Rotation, phase: RotationPhase, now: number, message?: string): Rotation {
  const { message: _, ...rest } = rotation;
  return { ...rest, phase, phaseSince: new Date(now).toISOString(), ...(message === undefined ? {} : { message }) };
}

function trusting(rotation: Rotation, seen: Sighting): Step {
  if (seen.issuing === undefined) return cancelled(rotation, seen);
  if (seen.issuing === 'new') return entering(rotation, 'Issuing', seen);
  const halted = haltedBy(rotation, seen);
  if (halted !== undefined) return halted;
  if (rotation.kind === 'renew' && !seen.otherKept) return { kind: 'act', action: 'prepare' };
  if (seen.newRoots.size === 0) {
    return blocked({ reason: 'Starting', message: `backend "${rotation.to}" has not said yet what to trust` });
  }
  if (isPast(rotation.goOnAt, seen.now)) return { kind: 'act', action: 'activate' };
  const waiting = waitForTrust(rotation, seen, seen.newRoots);
  return waiting ?? { kind: 'act', action: 'activate' };
}

function issuing(rotation: Rotation, seen: Sighting): Step {
  if (seen.issuing === undefined) return cancelled(rotation, seen);
  if (seen.issuing === 'old') return entering(rotation, 'RollingBack', seen);
  if (rotation.paused) return paused();
  const late = seen.proxies.filter((proxy) => proxy.connected && !isUnder(proxy, rotation.to, seen.newRoots));
  if (late.length === 0 && seen.newRoots.size > 0) return entering(rotation, 'Retiring', seen);
  return seen.problem === undefined
    ? wait('ProxiesToRenew', late, 'to get a certificate of the new CA')
    : blocked(seen.problem);
}

function retiring(rotation: Rotation, seen: Sighting): Step {
  if (seen.issuing === undefined) return cancelled(rotation, seen);
  if (seen.issuing === 'old') return entering(rotation, 'RollingBack', seen);
  const drops = rotation.dropOld || rotation.kind === 'renew';
  if (!drops || !seen.otherKept) return entering(rotation, 'Done', seen);
  if (rotation.paused) return paused();
  return waitForNoLeaf(rotation, seen, rotation.to, seen.newRoots) ?? { kind: 'act', action: 'retire' };
}

function rollingBack(rotation: Rotation, seen: Sighting): Step {
  if (seen.issuing === undefined) return cancelled(rotation, seen);
  if (rotation.paused) return paused();
  if (seen.issuing === 'new') {
    if (!seen.otherKept) {
      const gone = `the CA it came from is not trusted any more, so nothing can go back; list backend "${rotation.from}" again and rotate to it`;
      return { kind: 'enter', rotation: enter(rotation, 'Cancelled', seen.now, gone) };
    }
    return waitForTrust(rotation, seen, seen.oldRoots) ?? { kind: 'act', action: 'restore' };
  }
  const late = seen.proxies.filter((proxy) => proxy.connected && !isUnder(proxy, rotation.from, seen.oldRoots));
  if (late.length > 0) return wait('ProxiesToRenew', late, 'to get a certificate of the former CA again');
  // The backend of a switch stays listed: the Mesh had it before.
  if (rotation.kind === 'switch' || !seen.otherKept) return entering(rotation, 'RolledBack', seen);
  return waitForNoLeaf(rotation, seen, rotation.from, seen.oldRoots) ?? { kind: 'act', action: 'retire' };
}

/** What stops a rotation before anything is asked of proxies. */
function haltedBy(rotation: Rotation, seen: Sighting): Step | undefined {
  if (rotation.paused) return paused();
  return seen.problem === undefined ? undefined : blocked(seen.problem);
}

function waitForTrust(rotation: Rotation, seen: Sighting, roots: ReadonlySet<string>): Step | undefined {
  const without = seen.proxies.filter(
    ({ trusts }) => roots.size === 0 || ![...roots].every((root) => trusts.has(root)),
  );
  const late = without.filter(({ connected }) => connected);
  if (late.length > 0) return wait('ProxiesToTrust', late, 'to acknowledge the CA', epochOf(rotation.goOnAt));
  // One that has just connected is written down a moment later.
  const heardOfAt = Math.max(...without.map(({ unheardSince = 0 }) => unheardSince)) + UNHEARD_MS;
  if (heardOfAt > seen.now) {
    const newcomers = without.filter(({ unheardSince = 0 }) => unheardSince + UNHEARD_MS > seen.now);
    return wait('NewProxies', newcomers, 'to be heard of', heardOfAt);
  }
  return waitForOffline(
    rotation,
    seen,
    without.filter(({ connected }) => !connected),
  );
}

/** Until nobody presents a leaf of another CA than this one. */
function waitForNoLeaf(
  rotation: Rotation,
  seen: Sighting,
  backend: string,
  roots: ReadonlySet<string>,
): Step | undefined {
  const others = seen.proxies.filter((proxy) => !isUnder(proxy, backend, roots));
  const late = others.filter(({ connected }) => connected);
  if (late.length > 0) return wait('ProxiesToRenew', late, 'to get a certificate of the CA that stays');
  return waitForOffline(
    rotation,
    seen,
    others.filter(({ connected }) => !connected),
  );
}

/** A proxy that is away may still serve with the leaf it has, until that expires: it is waited for so long, or as long as was said. */
function waitForOffline(rotation: Rotation, seen: Sighting, away: readonly RotatingProxy[]): Step | undefined {
  const alive = away.filter(({ leaf }) => leaf !== undefined && leaf.notAfter > seen.now);
  if (alive.length === 0) return undefined;
  const graceEnd =
    rotation.offlineGraceMs === undefined ? undefined : Date.parse(rotation.phaseSince) + rotation.offlineGraceMs;
  if (graceEnd !== undefined && seen.now >= graceEnd) return undefined;
  const lastExpiry = Math.max(...alive.map(({ leaf }) => leaf!.notAfter));
  const until = Math.min(
    lastExpiry,
    graceEnd ?? Number.POSITIVE_INFINITY,
    epochOf(rotation.goOnAt) ?? Number.POSITIVE_INFINITY,
  );
  return wait('OfflineProxies', alive, 'to come back, or for their certificates to expire', until);
}

function isUnder({ leaf }: RotatingProxy, backend: string, roots: ReadonlySet<string>): boolean {
  return leaf !== undefined && leaf.backend === backend && roots.has(leaf.root);
}

function entering(rotation: Rotation, phase: RotationPhase, seen: Sighting): Step {
  return { kind: 'enter', rotation: enter(rotation, phase, seen.now) };
}

function cancelled(rotation: Rotation, seen: Sighting): Step {
  return {
    kind: 'enter',
    rotation: enter(rotation, 'Cancelled', seen.now, seen.gone ?? 'the Mesh has other backends now'),
  };
}

function paused(): Step {
  const waiting: Waiting = {
    reason: 'Paused',
    message: 'paused: nothing more happens until it is resumed',
    proxies: [],
  };
  return { kind: 'wait', waiting, until: undefined };
}

function blocked({ message, fix }: { reason: string; message: string; fix?: string }): Step {
  const waiting: Waiting = { reason: 'Blocked', message, proxies: [], ...(fix === undefined ? {} : { fix }) };
  return { kind: 'wait', waiting, until: undefined };
}

/** So long after its Dataplane was made, a proxy of which nothing was heard does not run. Milliseconds. */
const UNHEARD_MS = 15_000;
const NAMED = 5;
/** Which proxies are waited for, by the reason. */
const WHICH = {
  ProxiesToTrust: 'connected',
  ProxiesToRenew: 'connected',
  OfflineProxies: 'offline',
  NewProxies: 'new',
} as const;

function wait(reason: keyof typeof WHICH, proxies: readonly RotatingProxy[], what: string, until?: number): Step {
  const names = proxies.map(({ name }) => name).sort();
  const problem = proxies.find((proxy) => proxy.problem !== undefined);
  const count = `${names.length} ${WHICH[reason]} ${names.length === 1 ? 'proxy' : 'proxies'}`;
  const because = problem === undefined ? '' : `; ${problem.name}: ${problem.problem}`;
  const waiting: Waiting = { reason, message: `waits for ${count} ${what}${because}`, proxies: names.slice(0, NAMED) };
  return { kind: 'wait', waiting, until };
}

function epochOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}

function isPast(time: string | undefined, now: number): boolean {
  return time !== undefined && now >= Date.parse(time);
}
