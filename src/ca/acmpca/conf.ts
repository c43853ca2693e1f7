import { validateDataSource } from '../../resources/kinds/data-source.ts';
import type { Violation } from '../../resources/resource.ts';
import { isGiven, misspelt, readNameTemplate, readStruct } from '../conf.ts';
import { secretOf } from '../data-source.ts';
import type { Egress } from '../egress.ts';
import type { NameTemplate } from '../name-template.ts';
import { type CaArn, endpointOf, parseCaArn } from './arn.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from './authority.ts';

/** `conf` of an `acmpca` backend (kuma-compat 1.3); the last two are ours. */
export interface AcmPcaConf {
  readonly arn: CaArn;
  readonly commonName: NameTemplate | undefined;
  /** Data source of what to trust; absent: what AWS says of the CA. */
  readonly caCert: unknown;
  /** Data sources; absent: the default chain. */
  readonly credentials: { readonly accessKey: unknown; readonly accessKeySecret: unknown } | undefined;
  /** Where the CA is called, without a slash at the end; of its region unless the conf says otherwise. */
  readonly endpoint: string;
  /** Absent: what goes with the CA's key. */
  readonly signingAlgorithm: SigningAlgorithm | undefined;
}

const FIELDS = ['arn', 'commonName', 'caCert', 'auth', 'endpoint', 'signingAlgorithm'];

/**
 * Reads `conf`; what is wrong with it goes to `violations`, at paths under `path` (`mtls.backends[i].conf`), and `undefined` comes back. Unknown fields are
 * ignored as in Kuma, except where they look like a misspelt one.
 */
export function readAcmPcaConf(
  conf: Readonly<Record<string, unknown>>,
  path: string,
  violations: Violation[],
  egress: Pick<Egress, 'urlProblem'>,
): AcmPcaConf | undefined {
  const before = violations.length;
  violations.push(...misspelt(conf, FIELDS, path));
  const { caCert } = conf;
  if (isGiven(caCert)) violations.push(...validateDataSource(caCert, `${path}.caCert`));
  const arn = readArn(conf['arn'], `${path}.arn`, violations);
  const commonName = readNameTemplate(conf['commonName'], `${path}.commonName`, violations);
  const credentials = readCredentials(conf, path, violations);
  const signingAlgorithm = readAlgorithm(conf['signingAlgorithm'], `${path}.signingAlgorithm`, violations);
  const endpoint = readEndpoint(conf['endpoint'], `${path}.endpoint`, arn, violations, egress);
  if (violations.length > before || arn === undefined || endpoint === undefined) return undefined;
  return { arn, commonName, caCert: isGiven(caCert) ? caCert : undefined, credentials, endpoint, signingAlgorithm };
}

/** Names of the mesh Secrets in `conf`. */
export function secretsOf(conf: Readonly<Record<string, unknown>>): readonly string[] {
  const auth = readStruct(conf, 'auth', '', []) ?? {};
  const keys = readStruct(auth, 'awsCredentials', '', []) ?? {};
  const found = [conf['caCert'], keys['accessKey'], keys['accessKeySecret']].map(secretOf);
  return [...new Set(found.filter((name) => name !== undefined))];
}

function readArn(value: unknown, field: string, violations: Violation[]): CaArn | undefined {
  if (!isGiven(value) || value === '') {
    violations.push({ field, message: 'has to be defined: the ARN of a private CA of AWS' });
    return undefined;
  }
  if (typeof value !== 'string') {
    violations.push({ field, message: 'has to be a string' });
    return undefined;
  }
  try {
    return parseCaArn(value);
  } catch (error) {
    violations.push({ field, message: error instanceof Error ? error.message : 'is no ARN' });
    return undefined;
  }
}

function readCredentials(
  conf: Readonly<Record<string, unknown>>,
  path: string,
  violations: Violation[],
): AcmPcaConf['credentials'] {
  const auth = readStruct(conf, 'auth', path, violations);
  if (auth === undefined) return undefined;
  violations.push(...misspelt(auth, ['awsCredentials'], `${path}.auth`));
  const keys = readStruct(auth, 'awsCredentials', `${path}.auth`, violations);
  if (keys === undefined) return undefined;
  const field = `${path}.auth.awsCredentials`;
  violations.push(...misspelt(keys, ['accessKey', 'accessKeySecret'], field));
  for (const name of ['accessKey', 'accessKeySecret']) {
    if (isGiven(keys[name])) violations.push(...validateDataSource(keys[name], `${field}.${name}`));
    else violations.push({ field: `${field}.${name}`, message: 'has to be defined' });
  }
  return { accessKey: keys['accessKey'], accessKeySecret: keys['accessKeySecret'] };
}

function readAlgorithm(value: unknown, field: string, violations: Violation[]): SigningAlgorithm | undefined {
  if (!isGiven(value) || value === '') return undefined;
  const known = SIGNING_ALGORITHMS.find((one) => one === value);
  if (known === undefined) violations.push({ field, message: `has to be one of: ${SIGNING_ALGORITHMS.join(', ')}` });
  return known;
}

function readEndpoint(
  value: unknown,
  field: string,
  arn: CaArn | undefined,
  violations: Violation[],
  egress: Pick<Egress, 'urlProblem'>,
): string | undefined {
  if (!isGiven(value) || value === '') {
    if (arn === undefined) return undefined;
    const usual = endpointOf(arn);
    if (usual === undefined) {
      violations.push({
        field,
        message: `has to be defined: the endpoints of partition ${arn.partition} are not known`,
      });
    }
    return usual;
  }
  if (typeof value !== 'string') {
    violations.push({ field, message: 'has to be a string' });
    return undefined;
  }
  const problem = egress.urlProblem(value) ?? pathProblem(value);
  if (problem !== undefined) violations.push({ field, message: problem });
  return value.replace(/\/$/, '');
}

function pathProblem(url: string): string | undefined {
  const { pathname, search, hash } = new URL(url);
  return pathname === '/' && search === '' && hash === ''
    ? undefined
    : 'has something after the host; give scheme, host and port only';
}
