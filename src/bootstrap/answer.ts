import { type DataplaneSpec, tagSetsOf } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import { buildBootstrap } from './document.ts';
import { type BootstrapRequest, parseBootstrapRequest } from './request.ts';

/** How this control plane answers `POST /bootstrap`. */
export interface BootstrapSettings {
  readonly adminAddress: string;
  /** For Dataplanes that name none. */
  readonly defaultAdminPort: number;
  readonly adminAccessLogPath: string;
  /** '' : the host the proxy used for this request. */
  readonly xdsHost: string;
  readonly xdsPort: number;
  readonly xdsConnectTimeoutMs: number;
  /** Every proxy gets delta xDS, also those that did not ask for it. */
  readonly forceDelta: boolean;
  /** Every proxy with a token file reads it at each connection, also those that did not ask for it. */
  readonly reloadableTokens: boolean;
  readonly tokenRequired: boolean;
}

/** What the answer needs from outside. */
export interface BootstrapDependencies {
  readonly settings: () => BootstrapSettings;
  /** PEM of the CA of the control plane's own certificate, for proxies that brought none. */
  readonly caPem: string;
  /** `undefined` when the control plane's certificate is good for this host name or address, else the names it is good for. */
  readonly namesUnlessCovered: (host: string) => readonly string[] | undefined;
  /** True when the PEM holds a certificate that says it is no CA. Throws when it holds no certificate. */
  readonly isNoCa: (pem: string) => boolean;
  /** A Dataplane from the text the proxy brought. Throws with a message for its owner. */
  readonly parseDataplane: (text: string, mesh: string, name: string) => Resource<DataplaneSpec>;
  readonly meshExists: (mesh: string) => Promise<boolean>;
  readonly storedDataplane: (mesh: string, name: string) => Promise<Resource<DataplaneSpec> | undefined>;
}

export interface BootstrapAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Ours, in the answer to a launcher that makes keys: where it asks for certificates, which is where its Envoy opens its xDS stream. */
export interface ProxyKeysAddress {
  readonly host: string;
  readonly port: number;
  /** PEM it verifies the control plane with. */
  readonly caPem: string;
}

/** Ours: the proxy's token file rotates, as projected ServiceAccount tokens do, so Envoy must read it at every connection. */
const RELOADS_TOKEN = 'feature-reloadable-token';

const text = (status: number, body: string): BootstrapAnswer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

/**
 * Answer to `POST /bootstrap` (kuma-compat 4.3): 200 with the bootstrap; 400 body unreadable, host not in the server certificate, or the CA is none;
 * 404 no such Dataplane; 422 no token or invalid Dataplane. `host` is the Host header without port; `json` says that the client accepts JSON.
 */
export async function answerBootstrap(
  call: { readonly body: unknown; readonly host: string; readonly json: boolean },
  deps: BootstrapDependencies,
): Promise<BootstrapAnswer> {
  const parsed = parseBootstrapRequest(call.body);
  if ('problem' in parsed) return text(400, parsed.problem);
  const { request } = parsed;
  const settings = deps.settings();
  const proxyType = request.proxyType || 'dataplane';
  if (settings.tokenRequired && request.dataplaneToken === '' && request.dataplaneTokenPath === '') {
    return text(
      422,
      "Dataplane Token is required. Generate token using 'kumactl generate dataplane-token > /path/file' and provide it via --dataplane-token-file=/path/file argument to Kuma DP",
    );
  }
  if (proxyType !== 'dataplane')
    return text(422, `proxyType: "${proxyType.slice(0, 50)}" is not served by this control plane, use dataplane`);
  if (settings.xdsHost === '') {
    const names = deps.namesUnlessCovered(call.host);
    if (names !== undefined) {
      return text(
        400,
        `reach the control plane as "${call.host}": its certificate is good for ${names.map((name) => `"${name}"`).join(', ')}; use one of them in --cp-address, or give the control plane a certificate for this name (general.tlsCertFile)`,
      );
    }
  }
  const caProblem = problemOfCa(request, deps);
  if (caProblem !== undefined) return text(400, caProblem);

  const found = await findDataplane(request, deps);
  if ('contentType' in found) return found;
  const { networking } = found.spec;
  const xdsHost = settings.xdsHost || call.host;
  const caPem = request.caCert || deps.caPem;
  const bootstrap = JSON.stringify(
    buildBootstrap({
      request: { ...request, proxyType },
      cluster: identifyingService(found.spec),
      adminPort: networking?.admin?.port || settings.defaultAdminPort,
      adminAddress: settings.adminAddress,
      adminAccessLogPath:
        request.operatingSystem === 'windows' && settings.adminAccessLogPath === '/dev/null'
          ? 'NUL'
          : settings.adminAccessLogPath,
      xdsHost,
      xdsPort: settings.xdsPort,
      xdsConnectTimeoutMs: settings.xdsConnectTimeoutMs,
      caPem,
      deltaXds: settings.forceDelta || (request.features?.includes('feature-delta-grpc') ?? false),
      reloadableTokens: settings.reloadableTokens || (request.features?.includes(RELOADS_TOKEN) ?? false),
      isBuiltinGateway: networking?.gateway?.type === 'BUILTIN',
    }),
  );
  if (!call.json) return { status: 200, contentType: 'text/x-yaml', body: bootstrap };
  return {
    status: 200,
    contentType: 'application/json',
    body: JSON.stringify({
      bootstrap: Buffer.from(bootstrap).toString('base64'),
      kumaSidecarConfiguration: {
        networking: { corefileTemplate: null, address: networking?.address ?? '' },
        metrics: { aggregate: [] },
      },
      ...(request.keySocketPath === ''
        ? {}
        : { proxyKeys: { host: xdsHost, port: settings.xdsPort, caPem } satisfies ProxyKeysAddress }),
    }),
  };
}

function problemOfCa(request: BootstrapRequest, deps: BootstrapDependencies): string | undefined {
  if (request.caCert === '') return undefined;
  try {
    if (!deps.isNoCa(request.caCert)) return undefined;
    return 'verify the control plane: the certificate given with --ca-cert-file (KUMA_CONTROL_PLANE_CA_CERT_FILE) is not a CA; give the CA that signed the certificate of the control plane';
  } catch (error) {
    return `read the CA given with --ca-cert-file: ${error instanceof Error ? error.message : error}`;
  }
}

async function findDataplane(
  request: BootstrapRequest,
  deps: BootstrapDependencies,
): Promise<Resource<DataplaneSpec> | BootstrapAnswer> {
  if (request.dataplaneResource === '') {
    return (
      (await deps.storedDataplane(request.mesh, request.name)) ??
      // Without a body: that is how kuma-dp knows "not yet, ask again" from a wrong address. Source: Kuma 2.11 `remote_bootstrap.go`.
      text(404, '')
    );
  }
  let dataplane: Resource<DataplaneSpec>;
  try {
    dataplane = deps.parseDataplane(request.dataplaneResource, request.mesh, request.name);
  } catch (error) {
    return text(422, error instanceof Error ? error.message : String(error));
  }
  if (!(await deps.meshExists(dataplane.meta.mesh)))
    return text(422, `mesh: mesh "${dataplane.meta.mesh}" does not exist`);
  return dataplane;
}

/** First service of the proxy, in order of names. Source: Kuma 2.11 `GetIdentifyingService`. */
function identifyingService(spec: DataplaneSpec): string {
  const services = tagSetsOf(spec).flatMap((tags) => tags['kuma.io/service'] || []);
  return services.sort()[0] ?? 'unknown';
}
