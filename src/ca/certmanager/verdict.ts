import { type CertificateRequest, conditionOf } from './objects.ts';

/** What a CertificateRequest says by now. Messages are the issuer's own, cut. */
export type Verdict =
  /** Nobody has approved or denied it. */
  | { readonly kind: 'unapproved' }
  /** Approved; the issuer is at it or waits for something. */
  | { readonly kind: 'pending'; readonly reason: string; readonly message: string }
  | { readonly kind: 'issued'; readonly certificate: string; readonly ca: string }
  | { readonly kind: 'denied' | 'invalid' | 'failed'; readonly reason: string; readonly message: string }
  /** Ready without a certificate, or one that is no text. */
  | { readonly kind: 'garbage'; readonly message: string };

const LONGEST_MESSAGE = 400;
/** A chain and a CA are some kilobytes. base64 characters. */
const LONGEST_ANSWER = 256 * 1024;

/**
 * Reads the conditions. Denied and InvalidRequest count by themselves: external issuers may set nothing else. A certificate without Approved is taken: old signers
 * skip approval. Source: cert-manager 1.21 `pkg/controller/certificaterequests`. Pure.
 */
export function verdictOf(request: CertificateRequest): Verdict {
  const say = (name: string) => {
    const { reason = '', message = '' } = conditionOf(request, name) ?? {};
    return { reason, message: message.slice(0, LONGEST_MESSAGE) };
  };
  const is = (name: string) => conditionOf(request, name)?.status === 'True';
  if (is('Denied')) return { kind: 'denied', ...say('Denied') };
  if (is('InvalidRequest')) return { kind: 'invalid', ...say('InvalidRequest') };
  const ready = conditionOf(request, 'Ready');
  if (ready?.status === 'False' && ready.reason === 'Denied') return { kind: 'denied', ...say('Ready') };
  if (ready?.status === 'False' && (ready.reason === 'Failed' || request.status?.failureTime)) {
    return { kind: 'failed', ...say('Ready') };
  }
  const { certificate = '', ca = '' } = request.status ?? {};
  if (ready?.status === 'True' || (ready === undefined && certificate !== '')) {
    if (typeof certificate !== 'string' || certificate === '')
      return { kind: 'garbage', message: 'Ready without a certificate' };
    if (certificate.length > LONGEST_ANSWER || ca.length > LONGEST_ANSWER) {
      return { kind: 'garbage', message: `an answer of ${certificate.length + ca.length} characters` };
    }
    return { kind: 'issued', certificate: decode(certificate), ca: decode(ca) };
  }
  if (!is('Approved') && ready === undefined) return { kind: 'unapproved' };
  return { kind: 'pending', ...say('Ready') };
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
