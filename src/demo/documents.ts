/** What the demo's mesh consists of, as documents. Pure. */

export const MESH = 'default';
export const BACKEND = 'ca-1';

export interface DemoPorts {
  /** REST API of the control plane. */
  readonly api: number;
  /** Bootstrap and xDS. */
  readonly dataplanes: number;
  readonly diagnostics: number;
  /** The program `api`, and the inbound of the proxy before it. */
  readonly apiService: number;
  readonly apiInbound: number;
  readonly apiAdmin: number;
  /** The program `web`, and its proxy; `webOutbound` is where `web` calls `api`. */
  readonly webService: number;
  readonly webInbound: number;
  readonly webOutbound: number;
  readonly webAdmin: number;
}

const PORT_NAMES = [
  'api',
  'dataplanes',
  'diagnostics',
  'apiService',
  'apiInbound',
  'apiAdmin',
  'webService',
  'webInbound',
  'webOutbound',
  'webAdmin',
] as const satisfies readonly (keyof DemoPorts)[];

/** How many ports `namePorts` takes. */
export const PORT_COUNT = PORT_NAMES.length;

export function namePorts(ports: readonly number[]): DemoPorts {
  return Object.fromEntries(PORT_NAMES.map((name, index) => [name, ports[index]!])) as Record<
    (typeof PORT_NAMES)[number],
    number
  >;
}

/** Configuration of the control plane: the embedded store in `workDir`, loopback only, insights written often enough to watch. */
export function controlPlaneConfig(ports: DemoPorts, workDir: string): object {
  return {
    store: { type: 'sqlite' },
    general: { workDir },
    apiServer: { http: { port: ports.api, interface: '127.0.0.1' }, https: { enabled: false } },
    dpServer: { port: ports.dataplanes },
    diagnostics: { serverPort: ports.diagnostics },
    xdsServer: { dataplaneStatusFlushInterval: '500ms' },
    weft: { interfaces: { dpServer: '127.0.0.1', diagnostics: '127.0.0.1' } },
  };
}

/** mTLS for everything, leaves that live `lifetime` (a Kuma duration). */
export function meshDocument(lifetime: string): object {
  const backend = { name: BACKEND, type: 'builtin', mode: 'STRICT', dpCert: { rotation: { expiration: lifetime } } };
  return { type: 'Mesh', name: MESH, mtls: { enabledBackend: BACKEND, backends: [backend] } };
}

/** Only `web` may call `api`. */
export function permissionDocument(): object {
  const service = (name: string) => ({ kind: 'MeshSubset', tags: { 'kuma.io/service': name } });
  return {
    type: 'MeshTrafficPermission',
    mesh: MESH,
    name: 'web-to-api',
    spec: { targetRef: service('api'), from: [{ targetRef: service('web'), default: { action: 'Allow' } }] },
  };
}

/** The two proxies, by name. The protocol is tcp, so that one connection of a client is one mTLS connection between the Envoys. */
export function dataplaneDocuments(ports: DemoPorts): Readonly<Record<'api-1' | 'web-1', object>> {
  const inbound = (service: string, port: number, servicePort: number) => ({
    port,
    servicePort,
    serviceAddress: '127.0.0.1',
    tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'tcp' },
  });
  const dataplane = (name: string, networking: object) => ({
    type: 'Dataplane',
    mesh: MESH,
    name,
    networking: { address: '127.0.0.1', ...networking },
  });
  return {
    'api-1': dataplane('api-1', {
      admin: { port: ports.apiAdmin },
      inbound: [inbound('api', ports.apiInbound, ports.apiService)],
    }),
    'web-1': dataplane('web-1', {
      admin: { port: ports.webAdmin },
      inbound: [inbound('web', ports.webInbound, ports.webService)],
      outbound: [{ port: ports.webOutbound, tags: { 'kuma.io/service': 'api' } }],
    }),
  };
}
