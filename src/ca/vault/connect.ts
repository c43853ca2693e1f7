import type { Clock } from '../../lib/clock.ts';
import { createDefaultCredentials } from '../aws/default-credentials.ts';
import { type BackendConfig, type CaDependencies, CaError } from '../backend.ts';
import { loadDataSource } from '../data-source.ts';
import type { VaultAuth } from './auth-conf.ts';
import { buildIamLogin, createEc2Login } from './aws-login.ts';
import { createVaultClient, type VaultClient } from './client.ts';
import type { VaultConf } from './conf.ts';
import { type Credentials, isLogin } from './login.ts';
import { problem, type Subject } from './problem.ts';
import { createVaultSession, type VaultSession } from './session.ts';
import { loadTls, TlsMaterialError } from './tls.ts';

/** One Vault, and the token for it. */
export interface VaultConnection {
  readonly client: VaultClient;
  readonly session: VaultSession;
  close(): Promise<void>;
}

export function subjectOf(config: BackendConfig, conf: VaultConf): Subject {
  const { address, namespace, pki, role } = conf;
  return { mesh: config.mesh, backend: config.name, address, namespace, pki, role };
}

/** Loads what the conf points at. Opens no connection yet. Throws `CaError` `not-configured`. `ends`: see `VaultSession`. */
export async function connectVault(
  config: BackendConfig,
  conf: VaultConf,
  deps: CaDependencies,
  clock: Clock,
  ends: (at: number | undefined) => void,
): Promise<VaultConnection> {
  const subject = subjectOf(config, conf);
  const load = loaderOf(config, deps, subject);
  const tls = await loadTls(conf, load).catch((error: unknown) => {
    if (!(error instanceof TlsMaterialError)) throw error;
    const sentence = `conf.fromCp.${error.field}: ${error.message}`;
    throw problem('not-configured', 'TlsConfigurationInvalid', subject, sentence);
  });
  const client = createVaultClient(subject, deps.egress.createClient({ tls, connections: CONNECTIONS }));
  const session = createVaultSession({
    client,
    auth: conf.auth,
    readToken: async () => readToken(subject, conf.auth, load),
    readCredentials: createCredentials(conf.auth, load, deps),
    clock,
    ends,
  });
  return {
    client,
    session,
    async close() {
      session.close();
      await client.close();
    },
  };
}

/** As many as leaves are asked for at once. */
const CONNECTIONS = 32;

/** What a data source in `field` (below `conf.fromCp`) says. */
export type Load = (source: unknown, field: string) => Promise<Buffer>;

function loaderOf(config: BackendConfig, deps: CaDependencies, subject: Subject): Load {
  return async (source, field) => {
    try {
      return await loadDataSource(config.mesh, source, deps);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it cannot be read';
      throw problem('not-configured', 'SecretMissing', subject, `conf.fromCp.${field}: ${why}`, { cause });
    }
  };
}

async function readToken(subject: Subject, auth: VaultAuth, load: Load): Promise<string> {
  const source = auth.kind === 'token' ? auth.token : undefined;
  const token = String(await load(source, 'auth.token')).trim();
  // It becomes a header.
  if (/^[!-~]{1,4096}$/.test(token)) return token;
  throw problem('not-configured', 'TokenInvalid', subject, 'conf.fromCp.auth.token is not a token of Vault');
}

/** What a login shows, read anew each time: ServiceAccount tokens and secret ids are replaced. */
function createCredentials(auth: VaultAuth, load: Load, deps: CaDependencies): () => Promise<Credentials> {
  const aws = auth.kind === 'aws' ? createAwsBody(auth, deps) : undefined;
  return async () => {
    if (!isLogin(auth)) throw new CaError('not-configured', 'there is no login for a token that was given');
    switch (auth.kind) {
      case 'tls':
        return { kind: 'tls' };
      case 'kubernetes':
        return { kind: 'kubernetes', role: auth.role, jwt: await readServiceAccountToken(auth.tokenPath, deps) };
      case 'appRole':
        return {
          kind: 'appRole',
          roleId: String(await load(auth.roleId, 'auth.appRole.roleId')).trim(),
          secretId: String(await load(auth.secretId, 'auth.appRole.secretId')).trim(),
        };
      case 'aws':
        return { kind: 'aws', body: await aws!() };
      default:
        return auth satisfies never;
    }
  };
}

function createAwsBody(auth: Extract<VaultAuth, { kind: 'aws' }>, deps: CaDependencies) {
  const { type, role, iamServerIdHeader } = auth;
  if (type === 'EC2') {
    const ec2 = createEc2Login(role);
    return () => ec2(AbortSignal.timeout(METADATA_MS));
  }
  const credentials = createDefaultCredentials('us-east-1');
  return () => buildIamLogin({ role, iamServerIdHeader, credentials, now: deps.now() });
}

const METADATA_MS = 5000;

/** Read as any file that a Mesh names: only from a directory that the control plane's configuration allows, since it is sent to an address of the Mesh. */
async function readServiceAccountToken(path: string, deps: CaDependencies): Promise<string> {
  try {
    return String(await deps.readFile(path)).trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be read';
    throw new CaError('not-configured', `the ServiceAccount token for Vault: ${why}`, {
      reason: 'TokenFileMissing',
      cause,
    });
  }
}
