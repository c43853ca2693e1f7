import { X509Certificate } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { answerBootstrap, type BootstrapDependencies } from '../bootstrap/answer.ts';
import type { Logger } from '../lib/log.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import { parseBroughtDataplane } from './brought-dataplane.ts';
import type { ControlPlaneConfig } from './config.ts';
import type { ServerCertificate } from './server-certificate.ts';

const LARGEST_BODY = 4 * 1024 * 1024;

/** What the data plane port answers besides gRPC: `POST /bootstrap`, and 200 on `/`, which kuma-dp asks to see whether the control plane is there. */
export function createBootstrapListener(deps: BootstrapDependencies, log: Logger): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/bootstrap' && request.method === 'POST') {
      serveBootstrap(request, response, deps).catch((error: unknown) => {
        log.error('answering a bootstrap request failed', { error });
        send(response, 500, 'text/plain', 'internal error; see the log of the control plane');
      });
      return;
    }
    request.resume();
    if (path === '/' && (request.method === 'GET' || request.method === 'HEAD')) send(response, 200, 'text/plain', '');
    else send(response, 404, 'text/plain', 'there is only POST /bootstrap and gRPC here');
  };
}

async function serveBootstrap(
  request: IncomingMessage,
  response: ServerResponse,
  deps: BootstrapDependencies,
): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY)
      return send(response, 413, 'text/plain', `the request is larger than ${LARGEST_BODY} bytes`);
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return send(response, 400, 'text/plain', 'read bootstrap request: the body is not JSON');
  }
  const json = request.headers.accept === 'application/json';
  const answer = await answerBootstrap({ body, host: hostWithoutPort(request.headers.host ?? ''), json }, deps);
  send(response, answer.status, answer.contentType, answer.body);
}

/** `[::1]:5678` is `::1`, `localhost:5678` is `localhost`. */
function hostWithoutPort(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host);
  return bracketed ? bracketed[1]! : host.replace(/:\d+$/, '');
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** What `POST /bootstrap` stands on, from the configuration and the certificate of the data plane port. */
export function bootstrapDependencies(options: {
  config: ControlPlaneConfig;
  certificate: ServerCertificate;
  store: ResourceStore;
  labelContext: LabelContext;
  /** Port of the data plane server, known once it listens. */
  port: () => number;
}): BootstrapDependencies {
  const { config, store, labelContext } = options;
  const { params } = config.bootstrapServer;
  const { dpProxy, enableReloadableTokens } = config.dpServer.authn;
  const certificate = new X509Certificate(options.certificate.certPem);
  const names = (certificate.subjectAltName ?? '').split(', ').map(subjectName);
  return {
    settings: () => ({
      adminAddress: params.adminAddress,
      defaultAdminPort: params.adminPort,
      adminAccessLogPath: params.adminAccessLogPath,
      xdsHost: params.xdsHost,
      xdsPort: params.xdsPort || options.port(),
      xdsConnectTimeoutMs: params.xdsConnectTimeout,
      forceDelta: config.experimental.deltaXds,
      // The kubelet renews the token of a Pod: one that is read once strands its proxy at the next reconnect.
      reloadableTokens: enableReloadableTokens || dpProxy.type === 'serviceAccountToken',
      tokenRequired: dpProxy.type !== 'none',
    }),
    caPem: options.certificate.caPem,
    namesUnlessCovered: (host) => ((certificate.checkHost(host) ?? certificate.checkIP(host)) ? undefined : names),
    isNoCa: (pem) => !new X509Certificate(pem).ca,
    parseDataplane: (text, mesh, name) => parseBroughtDataplane(text, mesh, name, labelContext),
    meshExists: async (mesh) => (await store.get({ type: 'Mesh', mesh: '', name: mesh })) !== undefined,
    storedDataplane: async (mesh, name) =>
      (await store.get({ type: 'Dataplane', mesh, name })) as Resource<DataplaneSpec> | undefined,
  };
}

/** `DNS:localhost` as `localhost`, `IP Address:0:0:0:0:0:0:0:1` as `::1`. */
function subjectName(name: string): string {
  const [, kind, value = name] = /^(DNS|IP Address):(.*)$/.exec(name) ?? [];
  return kind === 'IP Address' && value.includes(':') ? new URL(`http://[${value}]`).hostname.slice(1, -1) : value;
}
