/** What a control plane stands on itself, as its API shows it. Pure. */
import { ageOf, type Life, spanText, type Threshold } from '../../lib/expiry-threshold.ts';
import { type Fact, factValue, whyUnknown } from './fact.ts';
import { type Finding, finding, nameSome, ok, skip } from './finding.ts';

export interface OwnStateFacts {
  readonly own: Fact<OwnStateReport>;
  readonly threshold: Threshold;
  readonly now: number;
}

export interface OwnStateReport {
  readonly certificates: readonly (Life & { readonly name: string })[];
  readonly signingKeys: readonly {
    readonly kind: string;
    readonly mesh: string;
    readonly kids: readonly string[];
    readonly needed: boolean;
  }[];
}

/** Findings `own-certificates` and `signing-keys`. */
export function checkOwnState({ own, threshold, now }: OwnStateFacts): Finding[] {
  const report = factValue(own);
  if (report === undefined) return [skip('own-certificates', `its own certificates: ${whyUnknown(own)}`)];
  return [...checkCertificates(report, threshold, now), checkSigningKeys(report)];
}

function checkCertificates({ certificates }: OwnStateReport, threshold: Threshold, now: number): Finding[] {
  if (certificates.length === 0) return [skip('own-certificates', 'it shows none')];
  const bad = certificates.flatMap((certificate) => {
    const what = problemOf(certificate, threshold, now);
    if (what === undefined) return [];
    const { name } = certificate;
    return [finding('own-certificates', 'fail', `certificate ${name} ${what}`, { subject: name, hint: RENEW })];
  });
  if (bad.length > 0) return bad;
  const soonest = Math.min(...certificates.map(({ notAfter }) => notAfter));
  return [ok('own-certificates', `${certificates.length} are valid, the first to end in ${spanText(soonest - now)}`)];
}

function problemOf(life: Life, threshold: Threshold, now: number): string | undefined {
  switch (ageOf(life, threshold, now)) {
    case 'expired':
      return `expired ${spanText(life.notAfter - now)} ago`;
    case 'early':
      return `is valid only in ${spanText(life.notBefore - now)}`;
    case 'near':
      return `expires in ${spanText(life.notAfter - now)}`;
    case 'good':
      return undefined;
  }
}

const RENEW =
  'weft cp config   # general.tlsCertFile and the like: replace the files, they are read again; what the control plane made itself it renews: see its log';

function checkSigningKeys({ signingKeys }: OwnStateReport): Finding {
  const without = signingKeys.filter(({ kids, needed }) => needed && kids.length === 0);
  const text = ({ kind, mesh }: (typeof signingKeys)[number]) => (mesh === '' ? kind : `${kind} of mesh ${mesh}`);
  if (without.length === 0) return ok('signing-keys', 'tokens of every kind can be signed');
  return finding('signing-keys', 'fail', `no key signs tokens: ${nameSome(without.map(text))}`, {
    hint: 'docs/reference/control-plane-config.md   # restart the control plane to have it made, or give one with a Secret or GlobalSecret',
  });
}
