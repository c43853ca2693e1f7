import { X509Certificate } from 'node:crypto';
import { createCa, createTlsLeaf, isLeafFor, type TlsPair } from '../../x509/tls-pair.ts';

/** Everything replicas share about the admission server's certificate. */
export interface HeldCertificates {
  /** Signs the serving certificate. */
  readonly ca: TlsPair;
  /** Will sign; trusted already. */
  readonly nextCa?: TlsPair;
  /** PEM of CAs that signed before: still trusted, until no replica shows a certificate of theirs. */
  readonly oldCas: readonly string[];
  readonly serving: TlsPair;
}

export interface CertificateLives {
  readonly caMs: number;
  readonly servingMs: number;
  /** How long everybody may take to see a change: API servers a new bundle, replicas a new certificate. */
  readonly settleMs: number;
}

const DAY_MS = 86_400_000;
export const CERTIFICATE_LIVES: CertificateLives = { caMs: 365 * DAY_MS, servingMs: 30 * DAY_MS, settleMs: 600_000 };

/**
 * - `create`: there is nothing that could go on.
 * - `introduce-ca`: the next CA is made and trusted; nothing shows it yet.
 * - `switch-ca`: everybody trusts the next CA, so it signs now.
 * - `drop-ca`: nobody shows the old CA's certificates any more.
 * - `renew`: a new serving certificate of the same CA.
 */
export type CertificateStep = 'create' | 'introduce-ca' | 'switch-ca' | 'drop-ca' | 'renew';

/** Certificates start a little before they are made. */
const BACKDATED_MS = 10_000;
/** A next CA comes while the old one has so many serving lives left: time for people to repair what stands in its way. */
const OVERLAP_SERVING_LIVES = 3;
const RENEW_AT = 2 / 3;

/** The next thing to do, and when (epoch ms). Pure. */
export function nextStep(
  held: HeldCertificates | undefined,
  options: { readonly names: readonly string[]; readonly now: number; readonly lives: CertificateLives },
): { readonly step: CertificateStep; readonly at: number } {
  const { names, now, lives } = options;
  if (held === undefined) return { step: 'create', at: now };
  const ca = datesOf(held.ca.certPem);
  const serving = datesOf(held.serving.certPem);
  if (ca.end <= now) return { step: 'create', at: now };
  const good = isLeafFor(held.serving.certPem, held.ca.certPem, names);
  const rollover: { step: CertificateStep; at: number } =
    held.nextCa === undefined
      ? { step: 'introduce-ca', at: ca.end - OVERLAP_SERVING_LIVES * lives.servingMs }
      : { step: 'switch-ca', at: datesOf(held.nextCa.certPem).made + lives.settleMs };
  const steps: { step: CertificateStep; at: number }[] = [
    { step: 'renew', at: good ? serving.made + RENEW_AT * (serving.end - serving.made) : now },
    rollover,
    ...(held.oldCas.length === 0 ? [] : [{ step: 'drop-ca' as const, at: serving.made + lives.settleMs }]),
  ];
  return steps.reduce((first, one) => (one.at < first.at ? one : first));
}

/** The certificates after a step. Throws when `step` does not fit `held`: a mistake of the program. */
export async function takeStep(
  held: HeldCertificates | undefined,
  step: CertificateStep,
  options: { readonly names: readonly string[]; readonly now: number; readonly lives: CertificateLives },
): Promise<HeldCertificates> {
  const { now, lives, names } = options;
  const newCa = () => createCa('O=Weft, CN=weft admission', now, lives.caMs);
  const leaf = (ca: TlsPair) =>
    createTlsLeaf(ca, { subject: 'CN=weft-control-plane', names, usage: 'server', now, lifeMs: lives.servingMs });
  if (step === 'create') {
    const ca = await newCa();
    return { ca, oldCas: [], serving: await leaf(ca) };
  }
  if (held === undefined) throw new TypeError(`${step} without certificates`);
  switch (step) {
    case 'renew':
      return { ...held, serving: await leaf(held.ca) };
    case 'introduce-ca':
      return { ...held, nextCa: await newCa() };
    case 'switch-ca': {
      const { nextCa, ...rest } = held;
      if (nextCa === undefined) throw new TypeError('switch-ca without a next CA');
      return { ...rest, ca: nextCa, oldCas: [held.ca.certPem, ...held.oldCas], serving: await leaf(nextCa) };
    }
    case 'drop-ca':
      return { ...held, oldCas: [] };
    default:
      return step satisfies never;
  }
}

/** What the API server is to trust, PEM. */
export function bundleOf(held: HeldCertificates): string {
  return [held.ca.certPem, ...(held.nextCa === undefined ? [] : [held.nextCa.certPem]), ...held.oldCas].join('');
}

function datesOf(certPem: string): { readonly made: number; readonly end: number } {
  const certificate = new X509Certificate(certPem);
  return { made: certificate.validFromDate.getTime() + BACKDATED_MS, end: certificate.validToDate.getTime() };
}
