import type { Violation } from '../../resources/resource.ts';
import type { LeafKeyType } from '../../x509/key.ts';
import { isGiven, misspelt, readLeafKeyType, readNameTemplate, readStruct } from '../conf.ts';
import { secretOf } from '../data-source.ts';
import type { NameTemplate } from '../name-template.ts';
import { readVaultAuth, type VaultAuth } from './auth-conf.ts';
import { createStructReader, isVaultPath, type StructReader } from './struct-reader.ts';

/** `conf` of a `vault` backend: `fromCp` (kuma-compat 1.3, Kong Mesh's page "HashiCorp Vault CA"); data sources as they are written. */
export interface VaultConf {
  /** Where calls go: `agentAddress` where that is set, else `address`. Without a slash at the end. */
  readonly address: string;
  /** '' for none. */
  readonly namespace: string;
  /** Path of the PKI engine, without slashes around it. */
  readonly pki: string;
  readonly role: string;
  readonly commonName: NameTemplate | undefined;
  readonly tls: VaultTls;
  readonly auth: VaultAuth;
  readonly leafKeyType: LeafKeyType;
}

export interface VaultTls {
  /** Data source of the CA certificates; absent: those of the system. */
  readonly caCert: unknown;
  readonly skipVerify: boolean;
  /** '' for the host of the address. */
  readonly serverName: string;
}

const FIELDS = ['address', 'agentAddress', 'namespace', 'pki', 'role', 'commonName', 'tls', 'auth'];

/**
 * Reads `conf`; what is wrong with it goes to `violations`, at paths under `path` (`mtls.backends[i].conf`). `urlProblem` says why an address cannot be
 * called. Fields that look misspelt are violations, others are ignored as in Kuma.
 */
export function readVaultConf(
  conf: Readonly<Record<string, unknown>>,
  path: string,
  urlProblem: (url: string) => string | undefined,
  violations: Violation[],
): VaultConf {
  const leafKeyType = readLeafKeyType(conf, path, violations);
  violations.push(...misspelt(conf, ['fromCp', 'leafKeyType'], path));
  const fromCp = readStruct(conf, 'fromCp', path, violations);
  if (!isGiven(conf['fromCp'])) violations.push({ field: `${path}.fromCp`, message: 'has to be defined' });
  // Without it, the rest would only follow from that.
  const from = createStructReader(fromCp ?? {}, FIELDS, `${path}.fromCp`, fromCp === undefined ? [] : violations);

  const agentAddress = from.text('agentAddress');
  const address = from.text('address');
  if (address === '' && agentAddress === '')
    from.refuse('address', 'has to be defined, such as https://vault.example.com:8200');
  for (const [field, url] of [
    ['address', address],
    ['agentAddress', agentAddress],
  ] as const) {
    const problem = url === '' ? undefined : urlProblem(url);
    if (problem !== undefined) from.refuse(field, problem);
  }
  const pki = readPath(from, 'pki', 'the path of the PKI engine, such as kmesh-pki-default');
  const role = readPath(from, 'role', 'the role that signs, such as dataplane-proxies');
  if (role.includes('/')) from.refuse('role', 'has to be the name of a role, without "/"');
  const tls = from.inner('tls', ['caCert', 'skipVerify', 'serverName']);
  const skipVerify = tls?.flag('skipVerify') ?? false;
  const caCert = tls?.source('caCert');
  const commonName = from.struct['commonName'];
  return {
    address: (agentAddress || address).replace(/\/+$/, ''),
    namespace: from.text('namespace').replace(/^\/+|\/+$/g, ''),
    pki,
    role,
    commonName: readNameTemplate(commonName, `${path}.fromCp.commonName`, violations),
    tls: { caCert, skipVerify, serverName: tls?.text('serverName') ?? '' },
    auth: readVaultAuth(from, agentAddress !== ''),
    leafKeyType,
  };
}

/** The mesh Secrets that the conf points at. */
export function secretsOf(conf: Readonly<Record<string, unknown>>): readonly string[] {
  const found = new Set<string>();
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 4) return;
    const secret = secretOf(value);
    if (secret !== undefined) found.add(secret);
    for (const inner of Object.values(value)) visit(inner, depth + 1);
  };
  visit(conf['fromCp'], 0);
  return [...found];
}

/** A path of Vault's API without slashes around it. What it may hold is held to what needs no escaping. */
function readPath(reader: StructReader, field: string, what: string): string {
  const path = reader.text(field).replace(/^\/+|\/+$/g, '');
  if (path === '' && (typeof reader.struct[field] === 'string' || !isGiven(reader.struct[field]))) {
    reader.refuse(field, `has to be defined: ${what}`);
  } else if (!isVaultPath(path)) {
    reader.refuse(field, 'has to be letters, digits, "-", "_", "." and "/", without a part that is "." or ".."');
  }
  return path;
}
