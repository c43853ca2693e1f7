import { CLIENT_AUTH, inspectCertificate, KEY_USAGE, SERVER_AUTH } from '../../x509/certificate.ts';
import { parseCertificates } from '../../x509/chain.ts';
import { type BackendConfig, CaError, type Chain, type RehearsalFinding } from '../backend.ts';
import { createOwnRequest } from '../own-leaf.ts';
import type { VaultIssuer } from './issuer.ts';
import type { Subject } from './problem.ts';
import { assessRole, type RoleFault, type RoleNeeds, roleCommand } from './role.ts';

/**
 * What the role would do to leaves: by its options, where the token may read them, and by a leaf that nobody uses. `path` is `mtls.backends[i].conf`.
 * Throws `CaError` when Vault cannot be asked.
 */
export async function rehearseRole(options: {
  config: BackendConfig;
  path: string;
  subject: Subject;
  needs: RoleNeeds;
  issuer: VaultIssuer;
  now: () => number;
  signal: AbortSignal;
}): Promise<readonly RehearsalFinding[]> {
  const { path, subject, needs, issuer, signal } = options;
  try {
    const role = await issuer.readRole(signal);
    const faults = role === undefined ? [] : assessRole(role, needs);
    if (faults.length > 0) return findings(faults, roleCommand(subject, role, faults, needs));
    const { request } = createOwnRequest(options.config);
    const asked = options.now();
    const leaf = await assessLeaf(
      await issuer.sign(request, signal),
      request.uriSans,
      request.lifetimeMs,
      asked,
      needs,
    );
    const isMountsLimit = role !== undefined && leaf.length === 1 && leaf[0]!.option === 'max_ttl';
    const fix = isMountsLimit
      ? `vault secrets tune -max-lease-ttl=${leaf[0]!.value} ${subject.pki}\n`
      : roleCommand(subject, role, leaf, needs);
    return findings(leaf, fix);
  } catch (error) {
    const field = error instanceof CaError ? FIELDS[error.reason] : undefined;
    if (!(error instanceof CaError) || field === undefined) throw error;
    return [
      { field: `${path}.fromCp.${field}`, message: error.message, ...(error.fix !== undefined && { fix: error.fix }) },
    ];
  }

  function findings(faults: readonly RoleFault[], fix: string): readonly RehearsalFinding[] {
    const role = `role "${subject.role}" of ${subject.pki} in Vault`;
    // One command for all: a second one would undo the first.
    return faults.map(({ sentence }) => ({ field: `${path}.fromCp.role`, message: `${role} ${sentence}`, fix }));
  }
}

/** The field below `fromCp` that a refusal is about; what is not here says nothing of the conf. */
const FIELDS: Readonly<Record<string, string>> = {
  UriSansNotAllowed: 'role',
  CommonNameRequired: 'role',
  KeyTypeNotAllowed: 'role',
  KeyTooShort: 'role',
  CommonNameNotAllowed: 'commonName',
  RoleNotFound: 'role',
  NoIssuer: 'pki',
  PkiNotFound: 'pki',
  NotPki: 'pki',
  NamespaceNotFound: 'namespace',
  PermissionDenied: 'auth',
  LoginRefused: 'auth',
  AuthMethodMissing: 'auth',
  TokenInvalid: 'auth.token',
};

/** Less than this is missing from any answer: the way there and back, in ms. */
const SLACK_MS = 60_000;

/** What is missing from a leaf, as options of the role. */
async function assessLeaf(
  chain: Chain,
  uriSans: readonly string[],
  lifetimeMs: number,
  asked: number,
  needs: RoleNeeds,
): Promise<readonly RoleFault[]> {
  const [leaf, ...signers] = await Promise.all(parseCertificates(chain.pem).map(inspectCertificate));
  const facts = leaf!;
  // Options as a role would have them that makes such leaves.
  const lived = facts.node.validToDate.getTime() - asked;
  const signersLeft = Math.min(...signers.map(({ node }) => node.validToDate.getTime() - asked));
  const isCut = lived < lifetimeMs - SLACK_MS && lived < signersLeft - SLACK_MS;
  const purposes = facts.extendedKeyUsage ?? [];
  return assessRole(
    {
      allowed_uri_sans: uriSans.every((uri) => facts.uriSans.includes(uri)) ? ['*'] : [],
      client_flag: purposes.includes(CLIENT_AUTH),
      server_flag: purposes.includes(SERVER_AUTH),
      key_usage: ((facts.keyUsage ?? 0) & KEY_USAGE.digitalSignature) === 0 ? [] : ['DigitalSignature'],
      ...(isCut && { max_ttl: Math.max(1, Math.round(lived / 1000)) }),
    },
    needs,
  );
}
