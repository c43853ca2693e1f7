import { nearest } from '../../lib/nearest.ts';
import { validateDataSource } from '../../resources/kinds/data-source.ts';
import type { Violation } from '../../resources/resource.ts';
import type { LeafKeyType } from '../../x509/key.ts';
import { isDnsName, isGiven, misspelt, readLeafKeyType, readNameTemplate, readStruct } from '../conf.ts';
import { secretOf } from '../data-source.ts';
import type { NameTemplate } from '../name-template.ts';

/** The group of cert-manager's own issuers; other groups are external issuers, whose controllers answer the same requests. */
export const CERT_MANAGER_GROUP = 'cert-manager.io';

/** Which issuer signs. Source: cert-manager 1.21 `ObjectReference`. */
export interface IssuerRef {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
}

/** `conf` of a `certmanager` backend (kuma-compat 1.3, Kong Mesh changelog for the last two). */
export interface CertManagerConf {
  readonly issuerRef: IssuerRef;
  /** Data source of the CA certificate; absent: what the issuer puts into `status.ca`. */
  readonly caCert: unknown;
  readonly commonName: NameTemplate | undefined;
  readonly dnsNames: readonly NameTemplate[];
  readonly leafKeyType: LeafKeyType;
}

const FIELDS = ['issuerRef', 'caCert', 'commonName', 'dnsNames', 'leafKeyType'];
const REF_FIELDS = ['name', 'kind', 'group'];
const KINDS = ['Issuer', 'ClusterIssuer'];

/**
 * Reads `conf`; what is wrong with it goes to `violations`, at paths under `path` (`mtls.backends[i].conf`). Unknown fields are ignored as in Kuma, except
 * where they look like a misspelt one: a misspelt `caCert` would mean another trust.
 */
export function readCertManagerConf(
  conf: Readonly<Record<string, unknown>>,
  path: string,
  violations: Violation[],
): CertManagerConf {
  violations.push(...misspelt(conf, FIELDS, path));
  const { caCert } = conf;
  if (isGiven(caCert)) violations.push(...validateDataSource(caCert, `${path}.caCert`));
  return {
    issuerRef: readIssuerRef(conf, path, violations),
    caCert: isGiven(caCert) ? caCert : undefined,
    commonName: readNameTemplate(conf['commonName'], `${path}.commonName`, violations),
    dnsNames: readDnsNames(conf['dnsNames'], `${path}.dnsNames`, violations),
    leafKeyType: readLeafKeyType(conf, path, violations),
  };
}

/** The mesh Secret that `caCert` points at. */
export function caCertSecret(conf: Readonly<Record<string, unknown>>): string | undefined {
  return secretOf(conf['caCert']);
}

function readIssuerRef(
  conf: Readonly<Record<string, unknown>>,
  confPath: string,
  violations: Violation[],
): CertManagerConf['issuerRef'] {
  const path = `${confPath}.issuerRef`;
  const ref = readStruct(conf, 'issuerRef', confPath, violations) ?? {};
  for (const field of Object.keys(ref)) {
    if (REF_FIELDS.includes(field)) continue;
    const meant = nearest(field, REF_FIELDS);
    const hint = meant === undefined ? `there are ${REF_FIELDS.join(', ')}` : `use "${meant}"`;
    violations.push({ field: `${path}.${field}`, message: `unknown field, ${hint}` });
  }
  const text = (field: string, otherwise: string): string => {
    const value = ref[field];
    if (!isGiven(value) || value === '') return otherwise;
    if (typeof value === 'string') return value;
    violations.push({ field: `${path}.${field}`, message: 'has to be a string' });
    return otherwise;
  };
  const name = text('name', '');
  const kind = text('kind', 'Issuer');
  const group = text('group', CERT_MANAGER_GROUP);
  const missing = typeof ref['name'] === 'string' || !isGiven(ref['name']);
  if (name === '' && missing) {
    violations.push({
      field: `${path}.name`,
      message: 'has to be defined: the name of a cert-manager Issuer or ClusterIssuer',
    });
  } else if (name !== '' && !isDnsName(name)) {
    violations.push({
      field: `${path}.name`,
      message: 'has to be the name of an object: lower-case letters, digits, "-" and "."',
    });
  }
  if (group === CERT_MANAGER_GROUP && !KINDS.includes(kind)) {
    const meant = nearest(kind, KINDS);
    const hint = meant === undefined ? '' : `, did you mean "${meant}"?`;
    violations.push({
      field: `${path}.kind`,
      message: `has to be one of: ${KINDS.join(', ')} (other kinds need their own group)${hint}`,
    });
  }
  if (group !== CERT_MANAGER_GROUP) {
    if (!isDnsName(group))
      violations.push({ field: `${path}.group`, message: 'has to be an API group, such as cert-manager.io' });
    else if (nearest(group, [CERT_MANAGER_GROUP]) !== undefined && !group.endsWith(`.${CERT_MANAGER_GROUP}`)) {
      violations.push({
        field: `${path}.group`,
        message: `is not a group that is known, did you mean "${CERT_MANAGER_GROUP}"?`,
      });
    }
  }
  return { name, kind, group };
}

function readDnsNames(value: unknown, field: string, violations: Violation[]): readonly NameTemplate[] {
  if (!isGiven(value)) return [];
  if (!Array.isArray(value)) {
    violations.push({ field, message: 'has to be a list' });
    return [];
  }
  return value.flatMap((one: unknown, index) => {
    if (!isGiven(one) || one === '') violations.push({ field: `${field}[${index}]`, message: 'cannot be empty' });
    const template = readNameTemplate(one, `${field}[${index}]`, violations);
    return template === undefined ? [] : [template];
  });
}
