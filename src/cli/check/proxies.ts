/** Proxies and their certificates, out of DataplaneInsights. Pure; the same for Kubernetes and Universal. */

import { certificateState } from '../../identity/certificate-state.ts';
import { ageOf, type Life, spanText, type Threshold } from '../../lib/expiry-threshold.ts';
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';

export interface ProxyFacts {
  readonly proxies: Fact<readonly ProxyState[]>;
  /** Meshes with mTLS on: only proxies of these have certificates. */
  readonly mtlsMeshes: ReadonlySet<string>;
  readonly threshold: Threshold;
  readonly now: number;
  /** What a person types to see all proxies. */
  readonly inspect: string;
}

export interface ProxyState {
  readonly mesh: string;
  readonly name: string;
  readonly insight: DataplaneInsightSpec | undefined;
}

/** Findings of the group `proxies`: one per check, whatever the number of proxies. */
export function checkProxies(facts: ProxyFacts): Finding[] {
  const proxies = factValue(facts.proxies);
  if (proxies === undefined) return [skip('proxies-connected', `the proxies: ${whyUnknown(facts.proxies)}`)];
  if (proxies.length === 0) return [skip('proxies-connected', 'there are no proxies yet')];
  const online = proxies.filter(isOnline);
  return [
    checkConnected(proxies, online, facts),
    checkAccepted(online, facts),
    checkIssuance(proxies, facts),
    checkLeaves(online, facts),
    checkRenewals(online, facts),
  ];
}

function isOnline({ insight }: ProxyState): boolean {
  return (
    insight?.subscriptions?.some((one) => one.connectTime !== undefined && one.disconnectTime === undefined) ?? false
  );
}

const names = (proxies: readonly ProxyState[]) => nameSome(proxies.map(({ mesh, name }) => `${mesh}/${name}`));

function checkConnected(proxies: readonly ProxyState[], online: readonly ProxyState[], facts: ProxyFacts): Finding {
  const offline = proxies.filter((proxy) => !online.includes(proxy));
  if (offline.length === 0) return ok('proxies-connected', `all ${proxies.length} are connected`);
  return finding(
    'proxies-connected',
    'warn',
    `${offline.length} of ${proxies.length} are not connected: ${names(offline)}`,
    {
      hint: `${facts.inspect}   # since when, and what each one says`,
    },
  );
}

/** Two rows of facts on one: what Envoy refused, and what could not even be made. */
function checkAccepted(online: readonly ProxyState[], facts: ProxyFacts): Finding {
  const refused = online.filter(({ insight }) => (insight?.weft?.rejections ?? []).length > 0);
  const broken = online.filter(({ insight }) => insight?.weft?.generationFailure !== undefined);
  const first =
    refused[0]?.insight?.weft?.rejections?.[0]?.message ?? broken[0]?.insight?.weft?.generationFailure?.message;
  if (refused.length > 0 || broken.length > 0) {
    const parts = [
      ...(refused.length > 0 ? [`${refused.length} refuse a part of their configuration: ${names(refused)}`] : []),
      ...(broken.length > 0 ? [`for ${broken.length} none could be made: ${names(broken)}`] : []),
    ];
    return finding('proxies-in-sync', 'fail', `${parts.join('; ')} (${first})`, {
      hint: `${facts.inspect} -o yaml   # weft.rejections and weft.generationFailure have all the reasons`,
    });
  }
  const waiting = online.filter(({ insight }) => insight?.weft?.inSync !== true);
  if (waiting.length > 0) {
    return finding(
      'proxies-in-sync',
      'warn',
      `${waiting.length} of ${online.length} have not answered yet: ${names(waiting)}`,
      {
        hint: 'weft check --wait 30s   # an answer takes milliseconds unless a proxy is overloaded',
      },
    );
  }
  return ok('proxies-in-sync', `all ${online.length} that are connected have accepted their configuration`);
}

function checkIssuance(proxies: readonly ProxyState[], facts: ProxyFacts): Finding {
  const failing = proxies.filter(({ insight }) => insight?.weft?.issuanceFailure !== undefined);
  const failure = failing[0]?.insight?.weft?.issuanceFailure;
  if (failure === undefined) return ok('leaves-issued', 'no issuance is failing');
  return finding(
    'leaves-issued',
    'fail',
    `no new certificate for ${failing.length} proxies, ${names(failing)}: ${failure.message}`,
    {
      hint: `${facts.inspect} -o yaml   # weft.issuanceFailure: why, how often, and when it is tried again`,
    },
  );
}

function checkLeaves(online: readonly ProxyState[], facts: ProxyFacts): Finding {
  const { threshold, now, mtlsMeshes, inspect } = facts;
  const secured = online.filter(({ mesh }) => mtlsMeshes.has(mesh));
  if (secured.length === 0) return skip('leaves-valid', 'no connected proxy is in a mesh with mTLS');
  const of = (age: string) =>
    secured.filter((proxy) => {
      const life = leafOf(proxy);
      return age === 'none' ? life === undefined : life !== undefined && ageOf(life, threshold, now) === age;
    });
  const bad = [
    { count: of('none'), says: 'have none' },
    { count: of('expired'), says: 'have an expired one' },
    { count: of('near'), says: 'have one that should have been replaced by now' },
    { count: of('early'), says: 'have one whose time has not come: a clock is wrong' },
  ].filter(({ count }) => count.length > 0);
  if (bad.length > 0) {
    const message = bad
      .map(({ count, says }) => `${count.length} of ${secured.length} ${says}: ${names(count)}`)
      .join('; ');
    return finding('leaves-valid', 'fail', message, {
      hint: `${inspect} -o yaml   # weft.certificate and weft.issuanceFailure`,
    });
  }
  const soonest = Math.min(...secured.map((proxy) => leafOf(proxy)?.notAfter ?? Number.POSITIVE_INFINITY));
  return ok('leaves-valid', `${secured.length} certificates are valid, the first to end in ${spanText(soonest - now)}`);
}

function leafOf({ insight }: ProxyState): Life | undefined {
  const notAfter = Date.parse(insight?.mTLS?.certificateExpirationTime ?? '');
  if (Number.isNaN(notAfter)) return undefined;
  const from = Date.parse(insight?.weft?.certificate?.notBefore ?? insight?.mTLS?.lastCertificateRegeneration ?? '');
  return { notBefore: Number.isNaN(from) ? notAfter : from, notAfter };
}

function checkRenewals(online: readonly ProxyState[], { now, mtlsMeshes, inspect }: ProxyFacts): Finding {
  const secured = online.filter(({ mesh }) => mtlsMeshes.has(mesh));
  const overdue = secured.filter((proxy) => {
    const renewAt = Date.parse(proxy.insight?.weft?.certificate?.renewAt ?? '');
    const life = leafOf(proxy);
    if (life === undefined || Number.isNaN(renewAt)) return false;
    const issuedAt = Date.parse(proxy.insight?.mTLS?.lastCertificateRegeneration ?? '') || life.notBefore;
    return certificateState({ issuedAt, renewAt, notAfter: life.notAfter }, now) === 'overdue';
  });
  if (overdue.length === 0) return ok('leaves-renewed', 'no renewal is overdue');
  const message = `${overdue.length} of ${secured.length} should have been renewed by now: ${names(overdue)}`;
  return finding('leaves-renewed', 'warn', message, { hint: `${inspect} -o yaml   # weft.issuanceFailure` });
}
