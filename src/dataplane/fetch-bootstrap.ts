import type { IncomingMessage } from 'node:http';
import type { ProxyKeysAddress } from '../bootstrap/answer.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Logger } from '../lib/log.ts';
import { waitFor } from '../lib/wait.ts';
import { codeOf, DataplaneError, messageOf } from './error.ts';

export interface BootstrapFetch {
  readonly cpAddress: URL;
  /** PEM; '' for the machine's own CAs. */
  readonly caCert: string;
  /** Body; awaited while the connection is being made. */
  readonly request: Promise<Record<string, unknown>>;
  /** What to do when the control plane knows no such Dataplane; absent: as for `dp run`. */
  readonly whenUnknown?: string;
  readonly retryBackoffMs: number;
  readonly retryMaxMs: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly random: () => number;
}

const FIRST_BACKOFF_MS = 100;
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** What the control plane answered. */
export interface FetchedBootstrap {
  /** YAML. */
  readonly text: string;
  /** Where a launcher that makes keys asks for certificates; `undefined`: this control plane makes the keys. */
  readonly proxyKeys: ProxyKeysAddress | undefined;
}

/** What one attempt came to. */
type Attempt =
  | { readonly kind: 'bootstrap'; readonly bootstrap: FetchedBootstrap }
  /** Worth another try: the connection failed, or the Dataplane is not there yet. */
  | { readonly kind: 'again'; readonly why: string }
  | { readonly kind: 'refused'; readonly error: DataplaneError };

/**
 * Envoy's bootstrap from `POST /bootstrap` of the control plane. Connection errors, 404 and 5xx are tried again
 * until `retryMaxMs` is over. The control plane's certificate is always verified. Errors: `control_plane_untrusted`,
 * `control_plane_unreachable`, `bootstrap_refused`, and whatever `request` throws. Source: Kuma 2.11 `remote_bootstrap.go`.
 */
export async function fetchBootstrap(fetch: BootstrapFetch): Promise<FetchedBootstrap> {
  const giveUpAt = performance.now() + fetch.retryMaxMs;
  for (let failures = 1; ; failures += 1) {
    const attempt = await postBootstrap(fetch);
    fetch.signal.throwIfAborted();
    if (attempt.kind === 'bootstrap') return attempt.bootstrap;
    if (attempt.kind === 'refused') throw attempt.error;
    const delayMs = backoffMs(failures, {
      baseMs: FIRST_BACKOFF_MS,
      maxMs: fetch.retryBackoffMs,
      jitter: 0.2,
      random: fetch.random(),
    });
    if (performance.now() + delayMs > giveUpAt) {
      throw new DataplaneError(
        'control_plane_unreachable',
        `get the bootstrap from ${fetch.cpAddress.origin}: ${attempt.why}; gave up after ${failures} attempts; check --cp-address and that the control plane runs`,
      );
    }
    const fields = { controlPlane: fetch.cpAddress.origin, reason: attempt.why, retryInMs: Math.round(delayMs) };
    if (failures === 1 || failures % 10 === 0) fetch.log.warn('no bootstrap from the control plane yet', fields);
    else fetch.log.debug('no bootstrap from the control plane yet', fields);
    await waitFor(delayMs, fetch.signal);
    fetch.signal.throwIfAborted();
  }
}

function postBootstrap(fetch: BootstrapFetch): Promise<Attempt> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) => resolve(judgeConnectionError(error, fetch));
    const https = process.getBuiltinModule('node:https');
    const post = https.request(
      new URL('/bootstrap', fetch.cpAddress),
      {
        method: 'POST',
        // One connection, used once.
        agent: false,
        ca: fetch.caCert || systemCas(),
        minVersion: 'TLSv1.2',
        rejectUnauthorized: true,
        headers: { accept: 'application/json', 'content-type': 'application/json' },
        timeout: ANSWER_TIMEOUT_MS,
        signal: fetch.signal,
      },
      (response) =>
        readBody(response).then((body) => resolve(judgeAnswer(response.statusCode ?? 0, body, fetch)), failed),
    );
    // Not once: after a failed connection, handing over the body fails too.
    post.on('error', failed);
    post.once('timeout', () => post.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`)));
    fetch.request.then(
      (body) => post.end(JSON.stringify(body)),
      (error: unknown) => {
        post.destroy();
        reject(error);
      },
    );
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is over ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function judgeAnswer(status: number, body: string, { cpAddress, whenUnknown }: BootstrapFetch): Attempt {
  if (status === 200) {
    const bootstrap = readAnswer(body);
    if (bootstrap !== undefined) return { kind: 'bootstrap', bootstrap };
    return refused(
      cpAddress,
      'the answer holds no bootstrap; is it the address of a control plane (port 5678 by default)?',
    );
  }
  if (status === 404) {
    return body.trim() === ''
      ? {
          kind: 'again',
          why: `it knows no such Dataplane; ${whenUnknown ?? 'apply the resource first or give it with --dataplane-file'}`,
        }
      : {
          kind: 'again',
          why: 'it has no /bootstrap; --cp-address must name the port for proxies (5678 by default), not the HTTP API',
        };
  }
  if (status >= 400 && status < 500)
    return refused(cpAddress, `${status}: ${body.trim().slice(0, 2000) || 'no reason given'}`);
  return { kind: 'again', why: `it answered ${status}` };
}

function refused(cpAddress: URL, why: string): Attempt {
  return {
    kind: 'refused',
    error: new DataplaneError('bootstrap_refused', `get the bootstrap from ${cpAddress.origin}: ${why}`),
  };
}

/** The bootstrap in `{"bootstrap": "<base64>"}`; `undefined` when it is not there. */
function readAnswer(body: string): FetchedBootstrap | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    if (
      typeof answer === 'object' &&
      answer !== null &&
      'bootstrap' in answer &&
      typeof answer.bootstrap === 'string' &&
      answer.bootstrap
    ) {
      const proxyKeys = 'proxyKeys' in answer ? (answer.proxyKeys as ProxyKeysAddress) : undefined;
      return { text: Buffer.from(answer.bootstrap, 'base64').toString('utf8'), proxyKeys };
    }
  } catch {
    // Not JSON: the caller says what that means.
  }
  return undefined;
}

/** OpenSSL's reasons for not trusting a certificate; trying again changes nothing. */
const UNTRUSTED =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|INVALID_CA|INVALID_PURPOSE|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)/;

function judgeConnectionError(error: unknown, fetch: BootstrapFetch): Attempt {
  const code = codeOf(error);
  if (UNTRUSTED.test(code)) {
    const next =
      code === 'ERR_TLS_CERT_ALTNAME_INVALID'
        ? 'use one of the names of that certificate in --cp-address, or give the control plane a certificate for this one'
        : fetch.caCert
          ? 'give the CA of this control plane with --ca-cert-file or KUMA_CONTROL_PLANE_CA_CERT'
          : "no CA was given, so only the machine's own CAs are trusted; give the CA of this control plane with --ca-cert-file or KUMA_CONTROL_PLANE_CA_CERT";
    const message = `verify the certificate of ${fetch.cpAddress.origin}: ${messageOf(error)} (${code}); ${next}`;
    return { kind: 'refused', error: new DataplaneError('control_plane_untrusted', message, { cause: error }) };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return { kind: 'again', why: `it does not speak TLS there (${code})` };
  // A name with two addresses fails with one error for each; its own message is empty.
  return { kind: 'again', why: messageOf(error) || code || 'connection failed' };
}

/** The CAs of the machine and those that come with Node. */
function systemCas(): string[] {
  const { getCACertificates } = process.getBuiltinModule('node:tls');
  return [...getCACertificates('system'), ...getCACertificates('default')];
}
