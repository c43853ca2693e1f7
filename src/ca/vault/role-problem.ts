import type { CaError } from '../backend.ts';
import { problem, type Subject, type VaultRefusal } from './problem.ts';
import { assessRole, type Role, type RoleFault, type RoleNeeds, roleCommand } from './role.ts';

/** Vault's words, the reason we give, and what the operator did not know. Sources: Vault 1.21 and OpenBao 2.7, `builtin/logical/pki`. */
const REFUSALS: readonly {
  readonly words: RegExp;
  readonly reason: string;
  readonly sentence: string;
}[] = [
  {
    words: /URI Subject Alternative Names/,
    reason: 'UriSansNotAllowed',
    sentence: 'does not allow the URI SANs of a mesh',
  },
  {
    words: /common_name field is required/,
    reason: 'CommonNameRequired',
    sentence: 'wants a common name, and the leaves have none',
  },
  {
    words: /role requires keys of type|role key type/,
    reason: 'KeyTypeNotAllowed',
    sentence: 'does not take the keys of this mesh',
  },
  { words: /role requires a minimum of/, reason: 'KeyTooShort', sentence: 'wants longer keys than those of this mesh' },
  {
    words: /common name .* not allowed/,
    reason: 'CommonNameNotAllowed',
    sentence: 'does not allow the common name of conf.fromCp.commonName',
  },
];

/** The CA's own end, when Vault refuses since the leaf would outlive it; epoch ms. */
export function endOfCa({ errors }: VaultRefusal): number | undefined {
  const found = errors.map((error) => /beyond the expiration of the CA certificate at (\S+)/.exec(error)?.[1]);
  const time = Date.parse(found.find((text) => text !== undefined) ?? '');
  return Number.isNaN(time) ? undefined : time;
}

/**
 * What HTTP 400 to `sign` or `issue` means; `undefined`: nothing that is known here. `role` as Vault shows it, where that is allowed; `commonName` of the
 * leaf that was refused.
 */
export function roleProblem(
  subject: Subject,
  refusal: VaultRefusal,
  role: Role | undefined,
  needs: RoleNeeds,
  commonName: string | undefined,
): CaError | undefined {
  const said = refusal.errors.join('; ');
  const name = `role "${subject.role}" of ${subject.pki}`;
  if (/unknown role/.test(said)) {
    return problem(
      'not-configured',
      'RoleNotFound',
      subject,
      `there is no ${name} in Vault; make it with the command below, or correct conf.fromCp.role`,
      {
        cause: refusal,
        fix: roleCommand(subject, undefined, [], needs),
      },
    );
  }
  if (/no default issuer|unable to (fetch|find).*issuer|CA is not configured|no CA/i.test(said)) {
    return problem(
      'not-configured',
      'NoIssuer',
      subject,
      `the PKI engine ${subject.pki} of Vault has no CA yet (${said}); generate or import one`,
      {
        cause: refusal,
        fix: `vault write ${subject.pki}/root/generate/internal common_name=${subject.mesh} uri_sans=spiffe://${subject.mesh} ttl=87600h\n`,
      },
    );
  }
  const end = endOfCa(refusal);
  if (end !== undefined) {
    return problem(
      'not-configured',
      'CaNearItsEnd',
      subject,
      `the CA of ${subject.pki} ends at ${new Date(end).toISOString()}, too soon for another leaf; give it a new one`,
      {
        cause: refusal,
      },
    );
  }
  const known = REFUSALS.find(({ words }) => words.test(said));
  if (known === undefined) return undefined;
  const faults: Pick<RoleFault, 'option' | 'value'>[] = role === undefined ? [] : [...assessRole(role, needs)];
  if (known.reason === 'CommonNameNotAllowed') faults.push(...allowing(commonName ?? ''));
  return problem(
    'invalid-request',
    known.reason,
    subject,
    `${name} in Vault ${known.sentence} (${said}); change it with the command below`,
    {
      cause: refusal,
      fix: roleCommand(subject, role, faults, needs),
    },
  );
}

/** Options that allow a common name: those of Kong Mesh's page where it is below a domain. */
function allowing(commonName: string): readonly { readonly option: string; readonly value: string }[] {
  const dot = commonName.indexOf('.');
  if (dot <= 0 || commonName.includes('_')) {
    return [
      { option: 'allow_any_name', value: 'true' },
      { option: 'enforce_hostnames', value: 'false' },
    ];
  }
  return [
    { option: 'allowed_domains', value: commonName.slice(dot + 1) },
    { option: 'allow_subdomains', value: 'true' },
  ];
}
