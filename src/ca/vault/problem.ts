/** Every way Vault says no, as one sentence with its remedy, and where it helps the text to paste. Pure. */
import { CaError, type CaErrorCode } from '../backend.ts';

/** What a sentence may name. */
export interface Subject {
  readonly mesh: string;
  readonly backend: string;
  readonly address: string;
  /** '' for none. */
  readonly namespace: string;
  readonly pki: string;
  readonly role: string;
}

/** What was asked when the answer came. */
export type Asked =
  /** `<pki>/sign/<role>` or `<pki>/issue/<role>`. */
  | { readonly kind: 'leaf'; readonly path: string }
  /** A login; `method` as in the conf. */
  | { readonly kind: 'login'; readonly method: string; readonly path: string }
  | { readonly kind: 'renew' }
  | { readonly kind: 'read'; readonly path: string };

/** An answer that is no 2xx. */
export class VaultRefusal extends Error {
  readonly status: number;
  /** Vault's own words, cut. */
  readonly errors: readonly string[];
  constructor(status: number, errors: readonly string[]) {
    super(`${status}: ${errors.join('; ')}`);
    this.name = 'VaultRefusal';
    this.status = status;
    this.errors = errors;
  }
}

/** What `sys/health` says of a node that does not do its work; `undefined`: it says nothing of use. Source: Vault API, "/sys/health". */
export type NodeState = 'standby' | 'dr-secondary' | 'not-initialised' | 'sealed' | undefined;

export function nodeState(healthStatus: number): NodeState {
  switch (healthStatus) {
    case 429:
    case 473:
      return 'standby';
    case 472:
      return 'dr-secondary';
    case 501:
      return 'not-initialised';
    case 503:
      return 'sealed';
    default:
      return undefined;
  }
}

export function problem(
  code: CaErrorCode,
  reason: string,
  subject: Subject,
  sentence: string,
  options: { fix?: string | undefined; cause?: unknown } = {},
): CaError {
  const { fix, cause } = options;
  return new CaError(code, `backend "${subject.backend}" of mesh ${subject.mesh}: ${sentence}`, {
    reason,
    cause,
    ...(fix !== undefined && { fix }),
  });
}

/** The call brought no answer: egress has said why. */
export function unreached(subject: Subject, error: CaError): CaError {
  const hint = HINTS[error.reason] ?? '';
  return problem(error.code, error.reason, subject, `Vault at ${error.message}${hint}`, {
    cause: error,
    fix: error.fix,
  });
}

const HINTS: Readonly<Record<string, string>> = {
  ConnectionRefused: '; start Vault there, or correct conf.fromCp.address',
  NameNotFound: '; correct conf.fromCp.address',
  TlsUnknownAuthority: ' in conf.fromCp.tls.caCert',
  TlsWrongName: ' as conf.fromCp.tls.serverName, or correct conf.fromCp.address',
};

/** `refusal` is what Vault answered to `asked`, `state` what its node says of itself where that was asked. */
export function refused(subject: Subject, asked: Asked, refusal: VaultRefusal, state: NodeState): CaError {
  const { status, errors } = refusal;
  const said = errors.length === 0 ? '' : ` (${errors.join('; ')})`;
  const say = (code: CaErrorCode, reason: string, sentence: string, fix?: string) =>
    problem(code, reason, subject, sentence, { cause: refusal, fix });
  const where = `Vault at ${subject.address}`;

  if (state === 'not-initialised') {
    return say('not-configured', 'NotInitialised', `${where} is not initialised`, 'vault operator init');
  }
  if (state === 'sealed' || (status === 503 && /sealed/i.test(said))) {
    return say('unavailable', 'Sealed', `${where} is sealed; unseal it`, 'vault operator unseal');
  }
  if (state === 'dr-secondary' || status === 472) {
    return say(
      'not-configured',
      'DisasterRecoverySecondary',
      `${where} is a disaster recovery secondary, which issues nothing; set conf.fromCp.address to the primary`,
    );
  }
  if (state === 'standby' || status === 473 || (status >= 300 && status < 400)) {
    return say(
      'unavailable',
      'Standby',
      `${where} is a standby that does not forward to the active node; set conf.fromCp.address to the active node or to a load balancer that follows it (redirects are not followed)`,
    );
  }
  if (status === 429)
    return say(
      'throttled',
      'RateLimited',
      `${where} asks for fewer calls${said}; a rate limit quota may be too small for this mesh`,
    );
  if (status === 412) return say('unavailable', 'NotYetReplicated', `${where} has not caught up with its cluster yet`);
  if (status >= 500) return say('unavailable', 'VaultError', `${where} answered with ${status}${said}`);
  if (asked.kind === 'login') return refusedLogin(subject, asked, refusal, said);
  if (status === 403) return forbidden(subject, refusal);
  if (status === 404)
    return notFound(subject, asked.kind === 'leaf' || asked.kind === 'read' ? asked.path : '', refusal, said);
  return say('invalid-request', 'RequestRefused', `${where} refused the request${said}`);
}

function refusedLogin(
  subject: Subject,
  asked: Extract<Asked, { kind: 'login' }>,
  refusal: VaultRefusal,
  said: string,
): CaError {
  const missing = refusal.status === 404 && !/namespace/i.test(said);
  if (refusal.status === 404 && !missing) return notFound(subject, asked.path, refusal, said);
  const sentence = missing
    ? `there is no auth method at ${asked.path.replace(/\/login$/, '')} in Vault; enable it, or correct mountPath`
    : `Vault refused the login with conf.fromCp.auth.${asked.method}${said}; correct it, or its role in Vault`;
  return problem('forbidden', missing ? 'AuthMethodMissing' : 'LoginRefused', subject, sentence, { cause: refusal });
}

/** Neither `sign` nor `issue`, or the token is no good any more. */
export function forbidden(subject: Subject, cause: unknown): CaError {
  return problem(
    'forbidden',
    'PermissionDenied',
    subject,
    `Vault denied ${subject.pki}/sign/${subject.role}: the token has ended or its policies do not allow it; renew the token, or give it the policy below`,
    { cause, fix: signPolicy(subject) },
  );
}

/** The policy for the token. */
function signPolicy({ pki, role }: Subject): string {
  return `path "${pki}/sign/${role}" {\n  capabilities = ["create", "update"]\n}\n`;
}

/** Only `issue` is allowed. */
export function keysMadeByVault(subject: Subject): CaError {
  return problem(
    'denied',
    'IssuerMakesKeys',
    subject,
    `the policy of the token allows ${subject.pki}/issue/${subject.role} only, so Vault makes the private keys and sends them here; allow sign with the policy below, then they never leave this side`,
    { fix: signPolicy(subject) },
  );
}

/** A key that stays with its proxy cannot come from Vault. */
export function keyIsElsewhere(subject: Subject): CaError {
  return problem(
    'denied',
    'SignNotAllowed',
    subject,
    `the key of this proxy stays with it, but the policy of the token allows ${subject.pki}/issue/${subject.role} only, where Vault makes the key; allow sign with the policy below`,
    { fix: signPolicy(subject) },
  );
}

/** The token ends for good, and nothing here can get another one. `at` is epoch ms. */
export function tokenEnds(subject: Subject, at: number): CaError {
  return problem(
    'forbidden',
    'TokenEnds',
    subject,
    `the token in conf.fromCp.auth.token ends at ${new Date(at).toISOString()} and cannot be renewed; put a new one in its place, best one with a period`,
    { fix: 'vault token create -orphan -period=768h -policy=<policy>' },
  );
}

/** What came is no answer of Vault's. */
export function unusable(subject: Subject, what: string, cause?: unknown): CaError {
  return problem('invalid-answer', 'InvalidAnswer', subject, `Vault at ${subject.address} answered with ${what}`, {
    cause,
  });
}

function notFound(subject: Subject, path: string, refusal: VaultRefusal, said: string): CaError {
  const say = (reason: string, sentence: string, fix?: string) =>
    problem('not-configured', reason, subject, sentence, { cause: refusal, fix });
  if (/namespace/i.test(said)) {
    return say(
      'NamespaceNotFound',
      `there is no namespace "${subject.namespace}" in Vault; correct conf.fromCp.namespace`,
    );
  }
  if (/no handler for route/.test(said)) {
    const within = subject.namespace === '' ? '' : ` of namespace "${subject.namespace}"`;
    return say(
      'PkiNotFound',
      `nothing is mounted at "${subject.pki}" in Vault${within}; enable a PKI engine there, or correct conf.fromCp.pki`,
      `vault secrets enable -path=${subject.pki} pki`,
    );
  }
  if (/unsupported path/.test(said)) {
    return say('NotPki', `what is mounted at "${subject.pki}" in Vault is no PKI engine; correct conf.fromCp.pki`);
  }
  return say('NotFound', `Vault does not know ${path}${said}`);
}
