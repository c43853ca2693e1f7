import { CaError } from './backend.ts';

/**
 * What a call came to that brought no answer, as one sentence. `host` is `name:port` of the URL. Sources of the codes: Node 24, `errors` and
 * `tls` (X509 codes); undici 8, `errors`.
 */
export function connectionProblem(error: unknown, host: string, signal: AbortSignal): CaError {
  if (signal.aborted) return new CaError('timeout', `${host} did not answer in time`, { cause: error });
  const found = causes(error);
  const ours = found.find((one) => one instanceof CaError);
  if (ours !== undefined) return ours;
  const broken = (reason: string, sentence: string) =>
    new CaError('unavailable', `${host} ${sentence}`, { reason, cause: error });
  const codes = found.map((one) => ('code' in one ? String(one.code) : ''));
  const text = found.map(({ message }) => message).join(' ');
  const has = (...wanted: string[]) => codes.some((code) => wanted.includes(code));

  if (has('ENOTFOUND', 'EAI_AGAIN')) return broken('NameNotFound', 'is not a name that can be looked up');
  if (has('ECONNREFUSED')) return broken('ConnectionRefused', 'refused the connection: nothing listens there');
  if (has('EHOSTUNREACH', 'ENETUNREACH')) return broken('Unreachable', 'cannot be reached from here');
  if (has('CERT_HAS_EXPIRED')) return broken('TlsExpired', 'shows a certificate that has expired; renew it');
  if (has('CERT_NOT_YET_VALID')) return broken('TlsNotYetValid', 'shows a certificate that is not valid yet');
  if (has('ERR_TLS_CERT_ALTNAME_INVALID')) {
    return broken('TlsWrongName', 'shows a certificate for another name; set the server name that is in it');
  }
  if (has(...UNKNOWN_AUTHORITY)) {
    return broken(
      'TlsUnknownAuthority',
      'shows a certificate of a CA that is not trusted here; give the CA certificate',
    );
  }
  if (codes.some((code) => /^ERR_SSL_WRONG_VERSION_NUMBER|^EPROTO$|^ERR_SSL_PACKET_LENGTH/.test(code))) {
    return broken('NotTls', 'does not speak TLS there; is it http?');
  }
  if (codes.some((code) => code.startsWith('ERR_SSL_')) || /alert/.test(text)) {
    return broken('TlsRefused', 'refused the TLS handshake; a client certificate may be missing or not accepted');
  }
  if (found.some(({ name }) => name === 'HTTPParserError')) {
    return broken('NotHttp', 'answered with something that is not HTTP');
  }
  return broken('ConnectionLost', 'ended the connection before it had answered');
}

const UNKNOWN_AUTHORITY = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
];

/** The error, what caused it, and what it stands for several of (one for each address). */
function causes(error: unknown): Error[] {
  const found: Error[] = [];
  const visit = (one: unknown): void => {
    if (!(one instanceof Error) || found.includes(one) || found.length > 20) return;
    found.push(one);
    if (one instanceof AggregateError) for (const inner of one.errors) visit(inner);
    visit(one.cause);
  };
  visit(error);
  return found;
}
