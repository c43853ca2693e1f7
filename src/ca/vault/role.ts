/** What a role of the PKI engine has to allow, and the command that makes it so. Pure. Source: Vault API, "PKI secrets engine", create/update role. */
import type { LeafKeyType } from '../../x509/key.ts';

/** A role as Vault shows it; a value that is not there is unknown. */
export type Role = Readonly<Record<string, unknown>>;

export interface RoleNeeds {
  readonly mesh: string;
  readonly keyType: LeafKeyType;
  readonly leafLifetimeMs: number;
  /** The leaves have a common name. */
  readonly hasCommonName: boolean;
}

/** One option that has to be another one. */
export interface RoleFault {
  readonly option: string;
  /** Its value for `vault write`. */
  readonly value: string;
  /** What the option as it is would do. */
  readonly sentence: string;
}

/** The words Vault knows, in lower case. Source: Go crypto/x509 `KeyUsage`, without the prefix. */
const KEY_USAGES = [
  'digitalsignature',
  'contentcommitment',
  'keyencipherment',
  'dataencipherment',
  'keyagreement',
  'certsign',
  'crlsign',
  'encipheronly',
  'decipheronly',
];

/** Every option of `role` that would spoil leaves. */
export function assessRole(role: Role, needs: RoleNeeds): readonly RoleFault[] {
  const faults: RoleFault[] = [];
  const add = (option: string, sentence: string) => faults.push({ option, value: wanted(option, needs), sentence });
  const { mesh, keyType, leafLifetimeMs } = needs;

  const patterns = list(role['allowed_uri_sans']);
  if (patterns !== undefined && role['allowed_uri_sans_template'] !== true) {
    const refused = [`spiffe://${mesh}/service`, 'kuma://kuma.io/service/service'].filter(
      (uri) => !patterns.some((pattern) => matches(pattern, uri)),
    );
    if (refused.length > 0) {
      const schemes = refused.map((uri) => (uri.startsWith('kuma') ? 'kuma://*' : `spiffe://${mesh}/*`));
      add('allowed_uri_sans', `allows no URI SANs such as ${schemes.join(' and ')}, which are in every leaf`);
    }
  }
  if (role['require_cn'] === true && !needs.hasCommonName) {
    add('require_cn', 'wants a common name, and the leaves have none');
  }
  const type = role['key_type'];
  const family = keyType === 'rsa-2048' ? 'rsa' : 'ec';
  if (typeof type === 'string' && type !== 'any' && type !== family) {
    add('key_type', `takes only ${type} keys, and the leaves have ${keyType} ones`);
  }
  const bits = number(role['key_bits']);
  const largest = keyType === 'rsa-2048' ? 2048 : 256;
  if (type === family && bits !== undefined && bits > largest) {
    add('key_bits', `takes no key of less than ${bits} bits, and the leaves have ${keyType} ones`);
  }
  const purposes = list(role['ext_key_usage'])?.map((word) => word.toLowerCase()) ?? [];
  for (const side of ['client', 'server'] as const) {
    if (role[`${side}_flag`] === false && !purposes.includes(`${side}auth`)) {
      add(`${side}_flag`, `leaves out ${side}Auth, and a proxy is client and server`);
    }
  }
  const usages = list(role['key_usage']);
  if (usages !== undefined && !usages.some((word) => word.trim().toLowerCase() === 'digitalsignature')) {
    const ignored = usages.filter((word) => !KEY_USAGES.includes(word.trim().toLowerCase()));
    const why = ignored.length === 0 ? '' : ` (${ignored.join(', ')} means nothing to Vault: its names have no prefix)`;
    add('key_usage', `gives leaves without the key usage digitalSignature${why}`);
  }
  const longest = number(role['max_ttl']);
  if (longest !== undefined && longest > 0 && longest * 1000 < leafLifetimeMs) {
    add(
      'max_ttl',
      `cuts the life of leaves to ${seconds(longest)}, less than the ${seconds(leafLifetimeMs / 1000)} of dpCert.rotation.expiration`,
    );
  }
  return faults;
}

/**
 * The command that mends `faults`. Writing a role resets what is not named, so all of what `role` has besides the defaults is in it. `role` undefined: it
 * could not be read, and the command makes one that has what a mesh needs.
 */
export function roleCommand(
  at: { readonly pki: string; readonly role: string },
  role: Role | undefined,
  faults: readonly Pick<RoleFault, 'option' | 'value'>[],
  needs: RoleNeeds,
): string {
  const options = new Map<string, string>(role === undefined ? fullRole(needs) : keptOptions(role));
  // The number of bits goes with the type.
  if (faults.some(({ option }) => option === 'key_type')) options.delete('key_bits');
  for (const { option, value } of faults) options.set(option, value);
  const words = [...options].map(
    ([name, value]) => `${name}=${/^[\w.,-]+$/.test(value) ? value : `"${value.replace(/["\\$`]/g, '\\$&')}"`}`,
  );
  return `vault write ${at.pki}/roles/${at.role} ${words.join(' ')}\n`;
}

/** What a mesh needs of a role that is made for it. */
function fullRole(needs: RoleNeeds): [string, string][] {
  const names = ['allowed_uri_sans', 'require_cn', 'key_type', 'client_flag', 'server_flag', 'key_usage', 'max_ttl'];
  return [
    ...names.map((name): [string, string] => [name, wanted(name, needs)]),
    ...(needs.hasCommonName
      ? [['allow_any_name', 'true'] as [string, string], ['enforce_hostnames', 'false'] as [string, string]]
      : []),
  ];
}

function wanted(option: string, { mesh, keyType, leafLifetimeMs }: RoleNeeds): string {
  switch (option) {
    case 'allowed_uri_sans':
      return `spiffe://${mesh}/*,kuma://*`;
    case 'require_cn':
      return 'false';
    case 'key_type':
      return keyType === 'rsa-2048' ? 'rsa' : 'ec';
    case 'key_bits':
      return keyType === 'rsa-2048' ? '2048' : '256';
    case 'key_usage':
      return 'DigitalSignature,KeyEncipherment,KeyAgreement';
    case 'max_ttl':
      return seconds(Math.max(MAX_TTL_SECONDS, Math.ceil(leafLifetimeMs / 1000)));
    default:
      return 'true';
  }
}

/** 30 days, as in Kong Mesh's documentation. */
const MAX_TTL_SECONDS = 720 * 3600;

/** Vault 1.21 and OpenBao 2.7: what a new role has when nothing is said. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  allow_ip_sans: true,
  allow_localhost: true,
  allow_wildcard_certificates: true,
  client_flag: true,
  cn_validations: ['email', 'hostname'],
  enforce_hostnames: true,
  issuer_ref: 'default',
  key_bits: 2048,
  key_type: 'rsa',
  key_usage: ['DigitalSignature', 'KeyAgreement', 'KeyEncipherment'],
  not_after_bound: 'permit',
  not_before_bound: 'permit',
  not_before_duration: 30,
  require_cn: true,
  server_flag: true,
  use_csr_common_name: true,
  use_csr_sans: true,
};
/** Shown, but another spelling of what is written. */
const DERIVED = new Set(['ext_key_usage_oids_string', 'name', 'lease', 'lease_max']);

function keptOptions(role: Role): [string, string][] {
  return Object.entries(role).flatMap(([name, value]): [string, string][] => {
    if (DERIVED.has(name) || value === null || value === undefined) return [];
    if (JSON.stringify(value) === JSON.stringify(DEFAULTS[name] ?? emptyLike(value))) return [];
    return [[name, Array.isArray(value) ? value.join(',') : String(value)]];
  });
}

function emptyLike(value: unknown): unknown {
  if (Array.isArray(value)) return [];
  if (typeof value === 'number') return 0;
  return typeof value === 'boolean' ? false : '';
}

/** Go glob as Vault has it: `*` is any text. */
function matches(pattern: string, uri: string): boolean {
  const source = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${source.join('.*')}$`).test(uri);
}

/** Vault shows lists as arrays; older versions some as comma-separated text. */
function list(value: unknown): readonly string[] | undefined {
  if (Array.isArray(value)) return value.filter((one) => typeof one === 'string');
  return typeof value === 'string' ? value.split(',').filter((one) => one !== '') : undefined;
}

function number(value: unknown): number | undefined {
  const found = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof found === 'number' ? found : undefined;
}

/** `720h`, `90m`, `45s`: the shortest exact form. */
function seconds(count: number): string {
  if (count % 3600 === 0) return `${count / 3600}h`;
  return count % 60 === 0 ? `${count / 60}m` : `${count}s`;
}
