/** Admission webhooks and their certificates. Pure. */

import { ageOf, type Life, spanText, type Threshold } from '../../lib/expiry-threshold.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';
import type { WebhookConfiguration } from './kube-objects.ts';

export interface WebhookFacts {
  readonly namespace: string;
  readonly configurations: readonly ExpectedConfiguration[];
  /** What is served on the webhook port, as far as its Secret says. */
  readonly served: Fact<ServedCertificate>;
  /** A dry run of a Mesh that must be refused. */
  readonly answer: Fact<WebhookAnswer>;
  readonly threshold: Threshold;
  readonly now: number;
}

export interface ExpectedConfiguration {
  readonly name: string;
  readonly found: Fact<WebhookConfiguration>;
  /** Certificates of each webhook's `caBundle`, by webhook name; `undefined`: it can't be read. */
  readonly bundles: ReadonlyMap<string, readonly Life[] | undefined>;
}

export interface ServedCertificate extends Life {
  /** Whether a CA of every `caBundle` signed it. */
  readonly trusted: boolean;
  /** Whether it is good for the name that the API server calls. */
  readonly goodForService: boolean;
}

/** `refused`: by our webhook, as it must be. `accepted`: nobody looked at it. `unreachable`: the API server could not call it. */
export interface WebhookAnswer {
  readonly kind: 'refused' | 'accepted' | 'unreachable';
  readonly message: string;
}

/** Findings of the group `webhooks`. */
export function checkWebhooks(facts: WebhookFacts): Finding[] {
  const present = checkPresent(facts);
  return present.outcome === 'fail'
    ? [present]
    : [present, checkBundles(facts), checkServed(facts), checkAnswer(facts)];
}

const RESTART = (namespace: string) =>
  `kubectl -n ${namespace} rollout restart deployment weft-control-plane   # it makes certificate and bundle anew`;

function checkPresent({ configurations }: WebhookFacts): Finding {
  const missing = configurations.filter(({ found }) => found.state === 'absent');
  if (missing.length > 0) {
    return finding('webhooks-present', 'fail', `missing: ${nameSome(missing.map(({ name }) => name))}`, {
      hint: 'weft install control-plane | kubectl apply --server-side -f -',
    });
  }
  const unknown = configurations.find(({ found }) => found.state !== 'known');
  if (unknown !== undefined) return skip('webhooks-present', `${unknown.name}: ${whyUnknown(unknown.found)}`);
  return ok('webhooks-present', configurations.map(({ name }) => name).join(' and '));
}

function checkBundles({ configurations, namespace, now }: WebhookFacts): Finding {
  const hooks = configurations.flatMap(({ name, found, bundles }) =>
    (factValue(found)?.webhooks ?? []).map((hook) => ({ of: name, lives: bundles.get(hook.name) ?? [] })),
  );
  const bad = (which: readonly (typeof hooks)[number][], what: string) => {
    const names = [...new Set(which.map(({ of }) => of))].map(
      (name) => `${name} (${which.filter(({ of }) => of === name).length} webhooks)`,
    );
    return finding('webhooks-ca-bundle', 'fail', `${what}: ${names.join(', ')}`, { hint: RESTART(namespace) });
  };
  const empty = hooks.filter(({ lives }) => lives.length === 0);
  if (empty.length > 0) return bad(empty, 'without a usable caBundle');
  const ended = hooks.filter(({ lives }) => lives.every(({ notAfter }) => now >= notAfter));
  if (ended.length > 0) return bad(ended, 'with an expired caBundle');
  return ok('webhooks-ca-bundle', `${hooks.length} webhooks have a valid CA bundle`);
}

function checkServed({ served, namespace, threshold, now }: WebhookFacts): Finding {
  const certificate = factValue(served);
  const bad = (message: string) =>
    finding('webhooks-certificate', 'fail', `the serving certificate ${message}`, { hint: RESTART(namespace) });
  if (certificate === undefined) {
    return skip('webhooks-certificate', `the serving certificate: ${whyUnknown(served)}`);
  }
  const host = `weft-control-plane.${namespace}.svc`;
  if (!certificate.trusted) return bad('is not signed by the CA in caBundle: the API server refuses it');
  if (!certificate.goodForService) return bad(`is not good for ${host}`);
  const left = certificate.notAfter - now;
  switch (ageOf(certificate, threshold, now)) {
    case 'expired':
      return bad(`expired ${spanText(left)} ago`);
    case 'early':
      return bad(`is valid only in ${spanText(certificate.notBefore - now)}`);
    case 'near':
      return bad(`expires in ${spanText(left)} and was not renewed`);
    case 'good':
      return ok('webhooks-certificate', `the serving certificate is valid for ${spanText(left)}`);
  }
}

function checkAnswer({ answer, namespace }: WebhookFacts): Finding {
  const said = factValue(answer);
  if (said === undefined) return skip('webhooks-answer', `trying the webhook: ${whyUnknown(answer)}`);
  switch (said.kind) {
    case 'refused':
      return ok('webhooks-answer', 'the API server reaches the webhook');
    case 'accepted':
      return finding('webhooks-answer', 'fail', 'a Mesh with an error in it was accepted: nobody validates', {
        hint: 'weft install control-plane | kubectl apply --server-side -f -   # sets the webhook configurations again',
      });
    case 'unreachable':
      return finding('webhooks-answer', 'fail', `the API server can't call the webhook: ${said.message}`, {
        hint: `kubectl -n ${namespace} get pods,endpoints -l app=weft-control-plane   # is a Pod ready behind the Service?`,
      });
  }
}
