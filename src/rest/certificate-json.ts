import { z } from 'zod';
import type { CertificateView } from '../identity/certificate-view.ts';
import type { IssuedLeaf } from '../identity/history.ts';
import { STATES, STATES_TEXT } from './certificate-states.ts';
import type { JsonSchema } from './route.ts';

const time = () => z.iso.datetime();

/** The certificate of one proxy as the API shows it. What is not known is left out. */
export const certificateSchema = z.strictObject({
  mesh: z.string(),
  name: z.string().describe('Name of the Dataplane'),
  services: z.array(z.string()),
  state: z.enum(STATES).describe(STATES_TEXT),
  serial: z.string().optional().describe('Lower-case hex'),
  spiffeIds: z.array(z.string()),
  uriSans: z.array(z.string()),
  backend: z.string().optional().describe('Backend of the certificate; without one, the backend that shall issue it'),
  issuer: z.string().optional().describe('Distinguished name, RFC 4514'),
  anchorFingerprint: z.string().optional().describe('SHA-256 of the trust anchor'),
  notBefore: time().optional(),
  notAfter: time().optional(),
  issuedAt: time().optional(),
  renewAt: time().optional(),
  secondsLeft: z.int().optional().describe('Negative when it has ended'),
  lifeUsed: z.number().optional().describe('Share of its life that is over, from 0 to 1'),
  generation: z.int().optional().describe('How many certificates this proxy got so far'),
  keys: z.enum(['proxy', 'control-plane']).optional().describe('Where its private key was made, and is'),
  failure: z
    .strictObject({ reason: z.string(), at: time(), since: time(), attempts: z.int(), nextAttemptAt: time() })
    .optional()
    .describe('Why the last attempt to issue one failed; the certificate in use stays'),
});

const issuedSchema = z.strictObject({
  serial: z.string(),
  backend: z.string(),
  issuer: z.string(),
  notBefore: time(),
  notAfter: time(),
  issuedAt: time(),
  generation: z.int(),
  reason: z.string().describe('Why it was issued'),
});

export const certificateDetailSchema = certificateSchema.extend({
  expectedUriSans: z.array(z.string()).describe('What its names must be by Mesh and Dataplane'),
  chainPem: z.string().optional().describe('The certificate and its intermediates, never the key'),
  history: z.array(issuedSchema).describe('The last ten, the one in use first'),
});

export type CertificateJson = z.infer<typeof certificateSchema>;
export type CertificateDetailJson = z.infer<typeof certificateDetailSchema>;

/** As OpenAPI describes it. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'output' });
  return rest;
}

/** `now` in epoch ms. */
export function certificateJson(view: CertificateView, now: number): CertificateJson {
  const { proxy, services, state, serial, uriSans, backend, issuer, anchorFingerprint, generation, keys, failure } =
    view;
  const { notBefore, notAfter, issuedAt, renewAt } = view;
  const life = notAfter === undefined || issuedAt === undefined ? undefined : notAfter - issuedAt;
  return defined({
    mesh: proxy.mesh,
    name: proxy.name,
    services: [...services],
    state,
    serial,
    spiffeIds: uriSans.filter((uri) => uri.startsWith('spiffe://')),
    uriSans: [...uriSans],
    backend,
    issuer,
    anchorFingerprint,
    notBefore: rfc3339(notBefore),
    notAfter: rfc3339(notAfter),
    issuedAt: rfc3339(issuedAt),
    renewAt: rfc3339(renewAt),
    secondsLeft: notAfter === undefined ? undefined : Math.round((notAfter - now) / 1000),
    lifeUsed: life === undefined || issuedAt === undefined ? undefined : shareOf(now - issuedAt, life),
    generation,
    keys,
    failure: failure && {
      reason: failure.message,
      at: rfc3339(failure.at),
      since: rfc3339(failure.since),
      attempts: failure.attempts,
      nextAttemptAt: rfc3339(failure.nextAttemptAt),
    },
  }) as CertificateJson;
}

export function issuedJson(leaf: IssuedLeaf): CertificateDetailJson['history'][number] {
  return {
    ...leaf,
    notBefore: new Date(leaf.notBefore).toISOString(),
    notAfter: new Date(leaf.notAfter).toISOString(),
    issuedAt: new Date(leaf.issuedAt).toISOString(),
  };
}

function shareOf(used: number, life: number): number {
  return life <= 0 ? 1 : Math.round(Math.min(1, Math.max(0, used / life)) * 1000) / 1000;
}

const rfc3339 = (at: number | undefined) => (at === undefined ? undefined : new Date(at).toISOString());

function defined<T extends object>(value: T): object {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined));
}
