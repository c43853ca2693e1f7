import { CERTIFICATE_STATES, type CertificateState, certificateState } from './certificate-state.ts';
import type { DesiredIdentity, HeldLeaf, IssuanceFailure, ProxyKey } from './identity.ts';

/** A proxy as the survey looks at it; those that want nothing are passed over. */
export interface SurveyedProxy {
  readonly key: ProxyKey;
  readonly desired: DesiredIdentity | undefined;
  readonly leaf: HeldLeaf | undefined;
}

/** What is looked at. */
export interface Surveyed {
  proxies(): Iterable<SurveyedProxy>;
  /** The last attempt of a proxy at a backend, when it failed. */
  failure(proxy: ProxyKey, backend: string): IssuanceFailure | undefined;
}

/** The certificates of one service from one backend. */
export interface ServiceCertificates {
  readonly mesh: string;
  /** `OTHER_SERVICES` stands for all that have no line of their own. */
  readonly service: string;
  readonly backend: string;
  /** Proxies in each state. */
  readonly states: Readonly<Record<CertificateState, number>>;
  /** Epoch ms when the first of them ends; `undefined`: none is held. */
  readonly earliestEnd: number | undefined;
}

/** The proxies that one backend leaves without what they want. */
export interface BackendFailures {
  readonly mesh: string;
  readonly backend: string;
  /** Proxies whose last attempt failed. */
  readonly failing: number;
  /** Epoch ms since when the one that waits longest waits; `undefined`: none does. */
  readonly oldestSince: number | undefined;
}

export interface ExpirySurvey {
  readonly services: readonly ServiceCertificates[];
  readonly backends: readonly BackendFailures[];
  /** Proxies that wait before their next attempt. */
  readonly backingOff: number;
}

/** So many services have a line of their own: a mesh of thousands must not fill a Prometheus. */
export const MOST_SERVICES = 200;
/** No service can have this name: a tag value begins with a letter or digit. */
export const OTHER_SERVICES = '_other';

interface Tally {
  readonly mesh: string;
  readonly service: string;
  readonly backend: string;
  readonly states: Record<CertificateState, number>;
  earliestEnd: number | undefined;
}

/**
 * One walk over the proxies. A proxy counts for each of its services, under the backend its leaf is of, or that shall issue it. Pure.
 *
 * Services with something overdue or expired come first, then the large ones: who has a line of its own changes seldom, and who is in
 * trouble is not hidden by a large one that is well.
 */
export function surveyExpiry(surveyed: Surveyed, now: number, mostServices = MOST_SERVICES): ExpirySurvey {
  const services = new Map<string, Tally>();
  const backends = new Map<
    string,
    { mesh: string; backend: string; failing: number; oldestSince: number | undefined }
  >();
  let backingOff = 0;
  const backendOf = (mesh: string, backend: string) => {
    const id = `${mesh}//${backend}`;
    const known = backends.get(id);
    if (known !== undefined) return known;
    const made = { mesh, backend, failing: 0, oldestSince: undefined };
    backends.set(id, made);
    return made;
  };

  for (const { key, desired, leaf } of surveyed.proxies()) {
    if (desired === undefined) continue;
    const asked = backendOf(key.mesh, desired.backend);
    const failure = surveyed.failure(key, desired.backend);
    if (failure !== undefined) {
      asked.failing += 1;
      if (failure.nextAttemptAt > now) backingOff += 1;
      asked.oldestSince = earlier(asked.oldestSince, failure.since);
    }
    const state = certificateState(leaf, now);
    const backend = leaf?.backend ?? desired.backend;
    for (const service of servicesOf(key.mesh, desired.uriSans)) {
      const tally = tallyOf(services, key.mesh, service, backend);
      tally.states[state] += 1;
      if (leaf !== undefined) tally.earliestEnd = earlier(tally.earliestEnd, leaf.notAfter);
    }
  }
  return { services: bounded([...services.values()], mostServices), backends: [...backends.values()], backingOff };
}

/** `spiffe://<mesh>/<service>` of the SANs (kuma-compat 2.1). */
function servicesOf(mesh: string, uriSans: readonly string[]): readonly string[] {
  const prefix = `spiffe://${mesh}/`;
  return uriSans.filter((uri) => uri.startsWith(prefix)).map((uri) => uri.slice(prefix.length));
}

function tallyOf(tallies: Map<string, Tally>, mesh: string, service: string, backend: string): Tally {
  const id = `${mesh}//${service}//${backend}`;
  let one = tallies.get(id);
  if (one === undefined) {
    const states = Object.fromEntries(CERTIFICATE_STATES.map((state) => [state, 0])) as Tally['states'];
    one = { mesh, service, backend, states, earliestEnd: undefined };
    tallies.set(id, one);
  }
  return one;
}

function bounded(tallies: readonly Tally[], most: number): readonly ServiceCertificates[] {
  if (tallies.length <= most) return tallies;
  const rank = (one: Tally) => ({
    trouble: one.states.overdue + one.states.expired > 0 ? 1 : 0,
    size: CERTIFICATE_STATES.reduce((sum, state) => sum + one.states[state], 0),
  });
  const ranked = tallies
    .map((one) => ({ one, ...rank(one) }))
    .sort((a, b) => b.trouble - a.trouble || b.size - a.size || (a.one.service < b.one.service ? -1 : 1));
  const others = new Map<string, Tally>();
  for (const { one } of ranked.slice(most)) {
    const into = tallyOf(others, one.mesh, OTHER_SERVICES, one.backend);
    for (const state of CERTIFICATE_STATES) into.states[state] += one.states[state];
    if (one.earliestEnd !== undefined) into.earliestEnd = earlier(into.earliestEnd, one.earliestEnd);
  }
  return [...ranked.slice(0, most).map(({ one }) => one), ...others.values()];
}

function earlier(a: number | undefined, b: number): number {
  return a === undefined || b < a ? b : a;
}
