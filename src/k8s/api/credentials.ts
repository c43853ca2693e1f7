import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { delimiter, join } from 'node:path';
import { KubeError } from './client.ts';

/** Where the API server is and how to prove who we are, at one moment. */
export interface Credentials {
  /** `https://host:port`. */
  readonly server: string;
  readonly namespace: string;
  readonly tls: TlsIdentity;
  /** `http://` or `https://` proxy in front of the API server. */
  readonly proxyUrl?: string;
  /** `authorization` and what else each call carries. */
  readonly headers: Readonly<Record<string, string>>;
}

/** PEM texts as Node's TLS takes them. Equal identities may share connections. */
export interface TlsIdentity {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Where credentials are read from. */
export interface CredentialsSource {
  /** What holds now: files are read again, a helper program is run again when its token has expired. */
  read(): Promise<Credentials>;
  /** As `read`, after a 401: nothing that was remembered is used. */
  renew(): Promise<Credentials>;
}

export interface ClusterLocation {
  /** Path of a kubeconfig file; goes before everything else. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig; absent: its current one. */
  readonly context?: string;
  /** The process environment: KUBERNETES_SERVICE_HOST and _PORT, KUBECONFIG, HOME. Absent: only `kubeconfig` counts. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The given kubeconfig, else the Pod this runs in, else KUBECONFIG, else ~/.kube/config. Throws `KubeError` (`unavailable`) when there is none of them. */
export async function findCredentials(location: ClusterLocation): Promise<CredentialsSource> {
  const { kubeconfig, context, env = {} } = location;
  if (kubeconfig !== undefined && kubeconfig !== '') return fromKubeconfig([kubeconfig], context);
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (host !== undefined && host !== '') return fromPod(host, env['KUBERNETES_SERVICE_PORT'] ?? '443');
  const files = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (files.length > 0) return fromKubeconfig(files, context);
  const home = env['HOME'];
  if (home !== undefined && home !== '') return fromKubeconfig([join(home, '.kube', 'config')], context);
  throw new KubeError(
    'unavailable',
    'find a Kubernetes API server: not in a Pod, and neither KUBECONFIG nor ~/.kube/config is there',
  );
}

/** The mounted ServiceAccount. The kubelet replaces the token file before the token ends, so it is read again each time. */
function fromPod(host: string, port: string): CredentialsSource {
  const file = (name: string) => readFile(join(SERVICE_ACCOUNT, name), 'utf8');
  const read = async (): Promise<Credentials> => {
    const [token, ca, namespace] = await Promise.all([
      file('token'),
      file('ca.crt'),
      file('namespace').catch(() => 'default'),
    ]);
    return {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      namespace: namespace.trim(),
      tls: { ca },
      headers: { authorization: `Bearer ${token.trim()}` },
    };
  };
  return { read, renew: read };
}

/**
 * kubeconfig files as the official client reads them: client certificates, tokens, exec plugins, OIDC. Only its config module is imported:
 * the generated API classes of the package's front door would double the time.
 */
async function fromKubeconfig(files: readonly string[], context: string | undefined): Promise<CredentialsSource> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
  const load = () => {
    const [first, ...others] = files.map((file) => {
      const config = new KubeConfig();
      try {
        config.loadFromFile(file);
      } catch (error) {
        throw new KubeError('unavailable', `read kubeconfig ${file}: ${messageOf(error)}`, { cause: error });
      }
      return config;
    });
    // The first file's current context counts, as with kubectl.
    for (const other of others) first!.mergeConfig(other, true);
    if (context !== undefined) first!.setCurrentContext(context);
    return first!;
  };
  let config = load();
  const read = async (): Promise<Credentials> => {
    const cluster = config.getCurrentCluster();
    if (cluster === null) {
      throw new KubeError(
        'unavailable',
        `read kubeconfig ${files.join(delimiter)}: context "${config.getCurrentContext() ?? ''}" names no cluster`,
      );
    }
    const options: RequestOptions = {};
    // Plain HTTP (`kubectl proxy`) needs no credentials, and the library has none for it.
    if (cluster.server.startsWith('https:')) await config.applyToHTTPSOptions(options);
    const { ca, cert, key, servername, rejectUnauthorized } = options;
    return {
      server: cluster.server,
      namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
      tls: {
        ...(ca !== undefined && { ca: String(ca) }),
        ...(cert !== undefined && { cert: String(cert) }),
        ...(key !== undefined && { key: String(key) }),
        ...(servername !== undefined && { servername }),
        ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      },
      ...(cluster.proxyUrl !== undefined && { proxyUrl: cluster.proxyUrl }),
      headers: Object.fromEntries(
        Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
      ),
    };
  };
  return {
    read,
    renew() {
      config = load();
      return read();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
