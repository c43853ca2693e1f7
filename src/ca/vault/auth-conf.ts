import { isVaultPath, type StructReader } from './struct-reader.ts';

/** How the control plane proves to Vault who it is; data sources as they are written. */
export type VaultAuth =
  /** A token that was given. */
  | { readonly kind: 'token'; readonly token: unknown }
  /** `auth/cert`: the client certificate of the connection. */
  | { readonly kind: 'tls'; readonly clientCert: unknown; readonly clientKey: unknown; readonly mountPath: string }
  /** `auth/aws`: the role of this machine or Pod. */
  | {
      readonly kind: 'aws';
      readonly type: 'IAM' | 'EC2';
      /** '' for the one that bears the name of the AWS role. */
      readonly role: string;
      /** '' for none. */
      readonly iamServerIdHeader: string;
      readonly mountPath: string;
    }
  /** `auth/kubernetes`: a ServiceAccount token. Ours. */
  | { readonly kind: 'kubernetes'; readonly role: string; readonly tokenPath: string; readonly mountPath: string }
  /** `auth/approle`. Ours. */
  | { readonly kind: 'appRole'; readonly roleId: unknown; readonly secretId: unknown; readonly mountPath: string }
  /** The agent in between adds its own token. */
  | { readonly kind: 'agent' };

const METHODS = ['token', 'tls', 'aws', 'kubernetes', 'appRole'];
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Reads `auth` of `from` (`conf.fromCp`). With an agent in between, `auth` may be absent. */
export function readVaultAuth(from: StructReader, hasAgent: boolean): VaultAuth {
  const auth = from.inner('auth', METHODS);
  const chosen = METHODS.filter((method) => auth?.struct[method] !== undefined && auth.struct[method] !== null);
  if (auth === undefined || chosen.length !== 1) {
    if (chosen.length === 0 && hasAgent) return { kind: 'agent' };
    const found = chosen.length === 0 ? '' : `, found: ${chosen.join(', ')}`;
    from.refuse('auth', `exactly one of ${METHODS.join(', ')} has to be defined${found}`);
    return { kind: 'agent' };
  }
  switch (chosen[0]) {
    case 'token':
      return { kind: 'token', token: auth.source('token') };
    case 'tls': {
      const tls = auth.inner('tls', ['clientCert', 'clientKey', 'mountPath']);
      return {
        kind: 'tls',
        clientCert: required(tls, 'clientCert'),
        clientKey: required(tls, 'clientKey'),
        mountPath: mountOf(tls, 'cert'),
      };
    }
    case 'aws': {
      const aws = auth.inner('aws', ['type', 'role', 'iamServerIdHeader', 'mountPath']);
      const type = aws?.text('type') || 'IAM';
      if (type !== 'IAM' && type !== 'EC2') aws?.refuse('type', 'has to be one of: IAM, EC2');
      return {
        kind: 'aws',
        type: type === 'EC2' ? 'EC2' : 'IAM',
        role: aws?.text('role') ?? '',
        iamServerIdHeader: aws?.text('iamServerIdHeader') ?? '',
        mountPath: mountOf(aws, 'aws'),
      };
    }
    case 'kubernetes': {
      const kubernetes = auth.inner('kubernetes', ['role', 'mountPath', 'tokenPath']);
      const role = kubernetes?.text('role') ?? '';
      if (role === '') kubernetes?.refuse('role', 'has to be defined: the role of the Kubernetes auth method in Vault');
      const tokenPath = kubernetes?.text('tokenPath') || TOKEN_PATH;
      return { kind: 'kubernetes', role, tokenPath, mountPath: mountOf(kubernetes, 'kubernetes') };
    }
    default: {
      const appRole = auth.inner('appRole', ['roleId', 'secretId', 'mountPath']);
      return {
        kind: 'appRole',
        roleId: required(appRole, 'roleId'),
        secretId: required(appRole, 'secretId'),
        mountPath: mountOf(appRole, 'approle'),
      };
    }
  }
}

function required(reader: StructReader | undefined, field: string): unknown {
  const source = reader?.source(field);
  if (source === undefined) reader?.refuse(field, 'has to be defined');
  return source;
}

function mountOf(reader: StructReader | undefined, otherwise: string): string {
  const path = (reader?.text('mountPath') ?? '').replace(/^\/+|\/+$/g, '');
  if (!isVaultPath(path)) reader?.refuse('mountPath', 'has to be the path of an auth method, such as approle');
  return path || otherwise;
}
