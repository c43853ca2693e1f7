import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { JsonTextError, parseJsonText } from '../../lib/json-text.ts';
import type { Logger } from '../../lib/log.ts';
import { StoreError } from '../../store/store.ts';
import type { TlsPair } from '../../x509/tls-pair.ts';
import { KubeError } from '../api/client.ts';
import {
  type AdmissionRequest,
  AdmissionReviewError,
  admissionReviewOf,
  parseAdmissionReview,
} from './admission-review.ts';
import type { Outcome, WebhookMetrics } from './metrics.ts';
import type { Verdict, Webhook } from './verdict.ts';

export interface AdmissionServerOptions {
  /** '' for every address, IPv6 included. */
  readonly host: string;
  readonly port: number;
  readonly certificate: TlsPair;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly webhooks: readonly Webhook[];
  readonly log: Logger;
  readonly metrics: WebhookMetrics;
  /** A call may wait so long for others before it is given up; below the API server's own limit. */
  readonly answerTimeoutMs?: number;
}

export interface AdmissionServer {
  readonly address: AddressInfo;
  /** For connections from now on; those that are open go on. */
  setCertificate(certificate: TlsPair): void;
  /** No new connections; what is being answered may take `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Twice the largest object the API server takes (old and new), and the envelope. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 9000;
/**
 * Longer than the 90 s after which an API server drops an unused connection, so that it is never us who closes one it is about to use. Node counts
 * a connection that has not been used yet as a request that does not come, and an API server under load opens more than it needs at the moment.
 */
const UNUSED_MS = 300_000;

/** A body that can't be taken, and the HTTP status that says so. */
class BodyError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * The admission server: HTTPS on node:https, one POST path per webhook. 400 for what is no AdmissionReview, 500, 503 or 504 when there can be no
 * answer now: the API server then goes by the webhook's failure policy. Rejects when it can't listen. Bodies are in no log and in no answer.
 */
export async function startAdmissionServer(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const { host, port, log, minVersion } = options;
  const webhooks = new Map(options.webhooks.map((webhook) => [webhook.path, webhook]));
  let closing = false;
  const server = createServer(
    {
      key: options.certificate.keyPem,
      cert: options.certificate.certPem,
      minVersion,
      requestTimeout: UNUSED_MS,
      headersTimeout: UNUSED_MS,
      keepAliveTimeout: UNUSED_MS,
    },
    (request, response) => {
      if (closing) response.setHeader('connection', 'close');
      void serve(options, webhooks, request, response);
    },
  );
  server.on('tlsClientError', (error) => log.debug('TLS handshake failed', { reason: error.message }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new Error(`listen for admission webhooks on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve);
  });
  server.on('error', (error) => log.error('admission server failed', { error }));
  return {
    address: server.address() as AddressInfo,
    setCertificate: ({ certPem, keyPem }) => server.setSecureContext({ key: keyPem, cert: certPem, minVersion }),
    close: (graceMs) => {
      closing = true;
      return new Promise((resolve) => {
        const hurry = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(hurry);
          resolve();
        });
      });
    },
  };
}

async function serve(
  options: AdmissionServerOptions,
  webhooks: ReadonlyMap<string, Webhook>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const webhook = webhooks.get(request.url?.split('?')[0] ?? '');
  if (webhook === undefined) return send(response, 404, 'there is no such webhook\n');
  if (request.method !== 'POST') return send(response, 405, 'a webhook takes POST only\n');
  let started = performance.now();
  let outcome: Outcome = 'malformed';
  try {
    const admission = parseAdmissionReview(parseJsonText(await readBody(request)));
    started = performance.now();
    outcome = 'failed';
    const verdict = await inTime(webhook.handle(admission), options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS);
    outcome = outcomeOf(verdict);
    if (!verdict.allowed) logRefusal(options.log, webhook, admission, verdict.status.message);
    response.writeHead(200, { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' });
    response.end(JSON.stringify(admissionReviewOf(admission.uid, verdict)));
  } catch (error) {
    const { status, text } = problemOf(error);
    if (status >= 500) options.log.warn('admission webhook could not answer', { webhook: webhook.name, status, error });
    send(response, status, `${text}\n`);
  }
  options.metrics.answered(webhook.name, outcome, (performance.now() - started) / 1000);
}

function problemOf(error: unknown): { readonly status: number; readonly text: string } {
  if (error instanceof BodyError) return { status: error.status, text: error.message };
  if (error instanceof JsonTextError || error instanceof AdmissionReviewError)
    return { status: 400, text: error.message };
  const isNeighbour =
    (error instanceof KubeError && error.code !== 'invalid') ||
    (error instanceof StoreError && error.code === 'unavailable');
  return isNeighbour
    ? { status: 503, text: 'what the answer depends on does not answer, try again later' }
    : { status: 500, text: 'internal error' };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json(?:\s*;.*)?$/i.test(type)) throw new BodyError(415, 'content type must be application/json');
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) throw new BodyError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof BodyError ? error : new BodyError(400, 'the body ended too early');
  }
  return Buffer.concat(chunks);
}

/** The answer, or a 504 after `timeoutMs`. */
async function inTime<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new BodyError(504, 'no answer in time')), timeoutMs);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function outcomeOf(verdict: Verdict): Outcome {
  if (!verdict.allowed) return 'refused';
  return (verdict.patch?.length ?? 0) > 0 ? 'patched' : 'allowed';
}

function logRefusal(log: Logger, webhook: Webhook, request: AdmissionRequest, reason: string): void {
  const { kind, name, namespace, operation, username } = request;
  log.info('write refused', {
    webhook: webhook.name,
    operation,
    kind: kind.kind,
    namespace,
    name,
    user: username,
    reason,
  });
}

function send(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent || response.destroyed) return;
  // A body that was not read to its end would hold the connection up.
  if (!response.req.complete) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}
