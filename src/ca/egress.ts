/**
 * The one way out of the control plane to an issuer elsewhere (vault, acmpca). Every connection is judged by the address it goes to, at the moment it is
 * made, so a name that leads elsewhere the second time (DNS rebinding) passes no more than the first time. Redirects are answers, never followed.
 */
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Agent, buildConnector } from 'undici';
import { CaError } from './backend.ts';
import { connectionProblem } from './egress-problem.ts';
import { createEgressRule, hostOf, portOf } from './egress-rule.ts';

export interface EgressRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** `http` or `https`, without user and password. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The deadline: from the look-up of the name to the last byte of the answer. */
  readonly signal: AbortSignal;
}

/** Any answer, whatever its status; 3xx included. */
export interface EgressAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** At most 1 MB. */
  readonly body: Buffer;
}

/** TLS to the issuer; absent values are Node's defaults: the system's CAs, the name of the URL. */
export type EgressTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>;

/** Connections to one issuer, kept open between calls. */
export interface EgressClient {
  /** Throws `CaError`: `forbidden` (EndpointNotAllowed), `unavailable` with what is in the way, `timeout`, `invalid-answer` (AnswerTooLarge). */
  send(request: EgressRequest): Promise<EgressAnswer>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

export interface Egress {
  /** Why `url` cannot be the address of an issuer, as far as that is seen without looking up its name; `undefined`: no reason. */
  urlProblem(url: string): string | undefined;
  createClient(options?: { readonly tls?: EgressTls; readonly connections?: number }): EgressClient;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
const KEEP_ALIVE_MS = 30_000;

/** `allowedEndpoints`: what may be called although it is refused otherwise (`host`, `host:port`, address, CIDR). */
export function createEgress(options: {
  readonly allowedEndpoints: readonly string[];
  /** Absent: the system's resolver. */
  readonly lookup?: LookupFunction;
}): Egress {
  const rule = createEgressRule(options.allowedEndpoints);
  const resolve = options.lookup ?? (systemLookup as LookupFunction);

  /** As `dns.lookup`, but answers only what may be called at `port`. */
  function lookupFor(port: number): LookupFunction {
    return (host, how, callback) => {
      resolve(host, { ...how, all: true }, (error, found) => {
        if (error !== null) return callback(error, '', 0);
        const addresses = Array.isArray(found) ? found : [{ address: found, family: 4 }];
        const problems = addresses.map(({ address }) => rule.addressProblem(host, address, port));
        const fine = addresses.filter((_, index) => problems[index] === undefined);
        const first = fine[0];
        if (first === undefined)
          return callback(notAllowed(problems[0] ?? `${host} has no address`, host, port), '', 0);
        return how.all === true ? callback(null, fine) : callback(null, first.address, first.family);
      });
    };
  }

  return {
    urlProblem: (url) => rule.urlProblem(url),
    createClient({ tls = {}, connections = 32 } = {}) {
      let agent: Promise<Agent> | undefined;
      let closed = false;

      async function createAgent(): Promise<Agent> {
        const undici = await import('undici');
        /** By port, since the port is part of what is allowed. */
        const connectors = new Map<number, buildConnector.connector>();
        return new undici.Agent({
          connections,
          keepAliveTimeout: KEEP_ALIVE_MS,
          // Deadlines are the callers'.
          headersTimeout: 0,
          bodyTimeout: 0,
          allowH2: false,
          connect(target, callback) {
            const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
            let connector = connectors.get(port);
            if (connector === undefined) {
              connector = undici.buildConnector({ ...tls, timeout: 0, lookup: lookupFor(port) });
              connectors.set(port, connector);
            }
            connector(target, callback);
          },
        });
      }

      return {
        async send({ method, url, headers = {}, body, signal }) {
          const problem = rule.urlProblem(url);
          const target = new URL(URL.canParse(url) ? url : 'http://invalid');
          if (problem !== undefined) throw notAllowed(problem, hostOf(target), portOf(target));
          if (closed) throw new CaError('unavailable', `the connection to ${target.host} was closed`);
          agent ??= createAgent();
          try {
            const answer = await (await agent).request({
              origin: target.origin,
              path: target.pathname + target.search,
              method,
              headers: { 'user-agent': 'weft', ...headers },
              body: body ?? null,
              signal,
            });
            return {
              status: answer.statusCode,
              headers: answer.headers,
              body: await readBody(answer.body, target.host),
            };
          } catch (error) {
            throw connectionProblem(error, target.host, signal);
          }
        },
        async close() {
          closed = true;
          await (await agent)?.destroy();
        },
      };
    },
  };
}

async function readBody(body: AsyncIterable<Buffer>, host: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    // Leaving the loop ends the connection.
    if (bytes > MAX_ANSWER_BYTES) {
      throw new CaError('invalid-answer', `${host} sent an answer of more than ${MAX_ANSWER_BYTES} bytes`, {
        reason: 'AnswerTooLarge',
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function notAllowed(problem: string, host: string, port: number): CaError {
  return new CaError('forbidden', problem, {
    reason: 'EndpointNotAllowed',
    ...(problem.includes('allowedEndpoints') && {
      fix: `weft:\n  ca:\n    allowedEndpoints: ["${host.includes(':') ? `[${host}]` : host}:${port}"]\n`,
    }),
  });
}
