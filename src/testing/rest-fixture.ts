import type { InjectOptions } from 'fastify';
import { DEFAULT_ACCESS } from '../auth/access.ts';
import { generateSigningKey } from '../auth/signing-keys.ts';
import { createTokens, type Tokens } from '../auth/tokens.ts';
import { createUserAuthenticator } from '../auth/users.ts';
import type { CaDependencies } from '../ca/backend.ts';
import { createEgress } from '../ca/egress.ts';
import { createCaRotations } from '../control-plane/ca-rotation/ca-rotations.ts';
import { certificateView } from '../identity/certificate-view.ts';
import { desiredIdentity } from '../identity/desired.ts';
import { systemClock } from '../lib/clock.ts';
import { type Logger, silentLogger } from '../lib/log.ts';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import { createRegistry, type Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import type { CertificateSource } from '../rest/certificate-source.ts';
import type { DistrustSource } from '../rest/distrust-source.ts';
import type { InspectSource } from '../rest/inspect-source.ts';
import type { MeshLifecycle, SecretLifecycle } from '../rest/lifecycle.ts';
import type { RehearsalSource } from '../rest/rehearsal-source.ts';
import type { Route } from '../rest/route.ts';
import { restRoutes } from '../rest/routes.ts';
import { createRestServer, type RestServer, type RestServerOptions } from '../rest/server.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { ResourceStore } from '../store/store.ts';
import { createMemorySecrets } from './fakes/memory-secrets.ts';

/** Who makes a request in a test: from this machine, from another one, or from another one with a user token. */
export type Role = 'local admin' | 'anonymous' | 'admin token' | 'user token' | 'bad token';
export const ROLES: readonly Role[] = ['local admin', 'anonymous', 'admin token', 'user token', 'bad token'];

export interface RestFixture {
  readonly server: RestServer;
  readonly store: ResourceStore;
  readonly registry: Registry;
  readonly routes: readonly Route[];
  readonly tokens: Tokens;
  /** Lines logged so far. */
  readonly logged: readonly { readonly level: string; readonly message: string; readonly fields: unknown }[];
  /** JSON body, status and raw text of one request; the role is the local admin unless said otherwise. */
  call(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'OPTIONS',
    url: string,
    options?: { body?: unknown; role?: Role; headers?: Record<string, string>; rawBody?: string | Buffer },
  ): Promise<{
    readonly status: number;
    readonly json: Record<string, unknown>;
    readonly text: string;
    readonly headers: Record<string, unknown>;
  }>;
  /** Puts a resource in the store, past all checks. */
  seed(
    type: string,
    name: string,
    spec: unknown,
    options?: { mesh?: string; labels?: Record<string, string> },
  ): Promise<Resource>;
}

export interface RestFixtureOptions {
  readonly readOnly?: boolean;
  readonly meshLifecycle?: Partial<MeshLifecycle>;
  readonly secretLifecycle?: Partial<SecretLifecycle>;
  readonly inspect?: Partial<InspectSource>;
  readonly certificates?: Partial<CertificateSource>;
  readonly rehearsals?: Partial<RehearsalSource>;
  readonly distrust?: Partial<DistrustSource>;
  readonly server?: Partial<RestServerOptions>;
  /** Wraps the store, to make it fail. */
  readonly wrapStore?: (store: ResourceStore) => ResourceStore;
}

/** What no backend asks for: there is none. */
const NO_CAS: CaDependencies = {
  secrets: {
    read: async () => undefined,
    createTogether: async () => false,
    writeTogether: async () => undefined,
  },
  readFile: async () => Buffer.alloc(0),
  now: Date.now,
  egress: createEgress({ allowedEndpoints: [] }),
};

/** Made once for a test process: it takes a while. */
let signingKey: Promise<string> | undefined;

/** A whole API on a memory store, without a network. */
export async function createRestFixture(options: RestFixtureOptions = {}): Promise<RestFixture> {
  const memory = createMemoryStore({ clock: systemClock });
  const store = options.wrapStore?.(memory) ?? memory;
  const registry = createRegistry([...coreKinds, ...policyKinds]);
  const secrets = createMemorySecrets();
  const tokens = createTokens({ secrets, now: Date.now });
  signingKey ??= generateSigningKey();
  for (const name of ['user-token-signing-key-1', 'zone-token-signing-key-1']) secrets.set('', name, await signingKey);
  secrets.set('default', 'dataplane-token-signing-key-default-1', await signingKey);
  const logged: { level: string; message: string; fields: unknown }[] = [];
  const routes = restRoutes({
    store,
    registry,
    tokens,
    meshLifecycle: {
      validate: async () => [],
      rehearse: async () => [],
      ensure: async () => {},
      validateDelete: async () => [],
      ...options.meshLifecycle,
    },
    secretLifecycle: { validateDelete: async () => [], ...options.secretLifecycle },
    caRotations: createCaRotations({
      store,
      caKinds: [],
      caDependencies: NO_CAS,
      identity: { backends: () => [], subscribe: () => () => undefined },
      dataplanes: () => [],
      clock: systemClock,
      log: silentLogger,
    }),
    inspect: {
      backends: () => [],
      bundlePem: () => undefined,
      config: async () => undefined,
      admin: async () => {
        throw new Error('ask Envoy: not connected');
      },
      ...options.inspect,
    },
    own: { certificates: () => [], signingKeys: async () => [] },
    rehearsals: { test: async () => undefined, ...options.rehearsals },
    certificates: {
      view(mesh, dataplane, insight) {
        const proxy = { mesh: mesh.meta.name, name: dataplane.meta.name };
        const own = { desired: undefined, leaf: undefined, failure: undefined };
        return certificateView({ proxy, desired: desiredIdentity(mesh, dataplane), own, insight }, Date.now());
      },
      chainPem: () => undefined,
      history: () => [],
      renewalWindowMs: () => 60_000,
      renew: async () => {},
      ...options.certificates,
    },
    distrust: { list: async () => [], add: async () => [], lift: async () => false, ...options.distrust },
    context: {
      mode: 'zone',
      federated: false,
      zone: 'default',
      environment: 'universal',
      systemNamespace: 'kuma-system',
    },
    readOnly: options.readOnly ?? false,
    gui: '',
    config: () => ({ mode: 'zone', store: { postgres: { password: '***' } } }),
    instance: () => ({
      hostname: 'host-1',
      product: 'Weft',
      version: '0.1.0',
      instanceId: 'host-1-abcd',
      clusterId: 'c0ffee',
      basedOnKuma: '2.14.3',
    }),
    now: Date.now,
  });
  const server = createRestServer({
    routes,
    users: createUserAuthenticator({ tokens, localhostIsAdmin: true }),
    access: DEFAULT_ACCESS,
    log: recordingLogger(logged),
    ...options.server,
  });
  const bearer: Record<Role, string | undefined> = {
    'local admin': undefined,
    anonymous: undefined,
    'admin token': `Bearer ${await tokens.issueUser({ name: 'mesh-system:admin', groups: ['mesh-system:admin'] }, 3_600_000)}`,
    'user token': `Bearer ${await tokens.issueUser({ name: 'jo', groups: ['ops'] }, 3_600_000)}`,
    'bad token': 'Bearer abc.def.ghi',
  };

  return {
    server,
    store: memory,
    registry,
    routes,
    tokens,
    logged,
    async call(method, url, { body, role = 'local admin', headers = {}, rawBody } = {}) {
      const hasBody = body !== undefined || rawBody !== undefined;
      const authorization = bearer[role];
      const request: InjectOptions = {
        method,
        url,
        remoteAddress: role === 'local admin' ? '127.0.0.1' : '10.9.8.7',
        headers: {
          host: 'localhost:5681',
          ...(hasBody ? { 'content-type': 'application/json' } : {}),
          ...(authorization ? { authorization } : {}),
          ...headers,
        },
        ...(hasBody ? { payload: rawBody ?? JSON.stringify(body) } : {}),
      };
      const response = await server.inject(request);
      const isJson = String(response.headers['content-type'] ?? '').startsWith('application/json');
      return {
        status: response.statusCode,
        json: isJson ? (response.json() as Record<string, unknown>) : {},
        text: response.body,
        headers: response.headers,
      };
    },
    seed: (type, name, spec, { mesh = '', labels = {} } = {}) =>
      memory.create({ type, meta: { mesh, name, labels, creationTime: '', modificationTime: '', version: '' }, spec }),
  };
}

function recordingLogger(lines: { level: string; message: string; fields: unknown }[]): Logger {
  const at = (level: string) => (message: string, fields?: unknown) => void lines.push({ level, message, fields });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    named: () => logger,
  };
  return logger;
}
