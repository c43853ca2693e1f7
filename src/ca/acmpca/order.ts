import { createHash } from 'node:crypto';
import { z } from 'zod';
import { toPem } from '../../x509/pem.ts';
import { SIGNING_ALGORITHMS } from './authority.ts';

/**
 * One certificate asked of AWS: everything that makes a second question the same question, so that it is answered with the same certificate and paid once.
 * Kept until the certificate is there (decision 0021).
 */
const schema = z.object({
  /** base64 of the CSR's DER. */
  csr: z.base64(),
  signingAlgorithm: z.enum(SIGNING_ALGORITHMS),
  /** Seconds since 1970. */
  notBefore: z.number(),
  notAfter: z.number(),
  uriSans: z.array(z.string()),
  commonName: z.string().optional(),
  /** The CA it is asked of. */
  caArn: z.string(),
  /** Epoch ms of the first question. */
  askedAt: z.number(),
  /** What AWS calls the certificate, as soon as that is known. */
  certificateArn: z.string().optional(),
});

export type Order = Readonly<z.infer<typeof schema>>;

/** `undefined` for what is no order, one of another version for example. */
export function readOrder(value: unknown): Order | undefined {
  return schema.safeParse(value).data;
}

/** PEM of the CSR. */
export function csrText({ csr }: Pick<Order, 'csr'>): string {
  return toPem('CERTIFICATE REQUEST', Buffer.from(csr, 'base64'));
}

/** The CSR's own, 36 characters at most. Source: AWS Private CA API, IssueCertificate `IdempotencyToken`. */
export function idempotencyToken({ csr }: Pick<Order, 'csr'>): string {
  return createHash('sha256').update(csr, 'base64').digest('hex').slice(0, 32);
}

/** AWS remembers a token for five minutes; a little less, for clocks and for calls under way. */
const TOKEN_MS = 290_000;
/** After this share of its life another one is asked for: the leaf in place, renewed after 70-80 % of its own, does not end meanwhile. */
const WORTH = 0.1;

/** Whether going on with it costs nothing and brings something worth having. `now` is epoch ms. */
export function isWorthwhile(order: Order, now: number): boolean {
  return now < (order.certificateArn === undefined ? order.askedAt + TOKEN_MS : worthUntil(order));
}

/** Epoch ms. */
export function worthUntil({ askedAt, notAfter }: Order): number {
  return askedAt + WORTH * (notAfter * 1000 - askedAt);
}
