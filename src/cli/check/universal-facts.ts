import { type ClockReading, checkClock } from './api-server.ts';
import { type BackendFacts, checkBackends } from './cas.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, ok } from './finding.ts';
import { checkOwnState, type OwnStateFacts } from './own-state.ts';
import { checkProxies, type ProxyFacts } from './proxies.ts';

/** All that was gathered of a control plane through its REST API. */
export interface UniversalFacts {
  readonly url: string;
  readonly index: Fact<{ readonly version: string }>;
  readonly clock: Fact<ClockReading>;
  /** Of this program. */
  readonly version: string;
  /** Epoch ms by the control plane's clock, by this machine's when that could not be read. */
  readonly now: number;
  /** `undefined`: the API does not answer, so nothing else was asked. */
  readonly plane:
    | { readonly own: OwnStateFacts; readonly proxies: ProxyFacts; readonly backends: readonly BackendFacts[] }
    | undefined;
}

/** Every finding about a control plane. Pure. */
export function checkUniversal(facts: UniversalFacts): Finding[] {
  const { url, index, plane } = facts;
  const version = factValue(index)?.version;
  if (version === undefined || plane === undefined) {
    return [
      finding('api-reachable', 'fail', whyUnknown(index), {
        hint: 'weft cp run   # or choose another control plane with --cp-address; a cluster with --kubeconfig',
      }),
    ];
  }
  return [
    ok('api-reachable', `${url} answers`),
    version === facts.version
      ? ok('api-version', `${version}, as this program`)
      : finding('api-version', 'warn', `the control plane is ${version}, this program ${facts.version}`, {
          hint: `weft version -a   # use weft ${version}, or upgrade the control plane`,
        }),
    checkClock(facts.clock),
    ...checkOwnState(plane.own),
    ...checkProxies(plane.proxies),
    ...plane.backends.flatMap(checkBackends),
  ];
}
