import { z } from 'zod';
import { parseAllowedEndpoint } from '../ca/egress-rule.ts';
import { pluginSetting } from '../ca/plugin/setting.ts';
import { INJECTOR_KEYS } from './config-keys-injector.ts';
import {
  type ConfigOf,
  count,
  duration,
  endpointList,
  flag,
  list,
  objects,
  oneOf,
  port,
  type SettingTree,
  text,
} from './config-setting.ts';

/**
 * Every key this program acts on, with its type, default and meaning. Keys, environment names and defaults follow Kuma 2.11-2.14 `kuma-cp`
 * unless the description says otherwise; `weft` and `store.sqlite` are our own. `docs/reference/control-plane-config.md` is printed from it.
 */

const keyText = z.string().optional();

/** A public key of an offline token issuer. Exactly one of `key` (PEM) and `keyFile` is set. */
const publicKeyShape = { kid: z.string('must be a text').min(1, 'must not be empty'), key: keyText, keyFile: keyText };
const oneSource = (given: { key?: string | undefined; keyFile?: string | undefined }) =>
  (given.key === undefined) !== (given.keyFile === undefined);
const oneSourceText = 'needs exactly one of key and keyFile';

const publicKeys = objects(
  z.strictObject(publicKeyShape).refine(oneSource, oneSourceText),
  'Public keys of tokens issued outside the control plane: a list of `{kid, key}` (PEM text) or `{kid, keyFile}`.',
);
const meshedPublicKeys = objects(
  z
    .strictObject({ ...publicKeyShape, mesh: z.string('must be a text').min(1, 'must not be empty') })
    .refine(oneSource, oneSourceText),
  'Public keys of data plane tokens issued outside the control plane: a list of `{kid, mesh, key}` (PEM text) or `{kid, mesh, keyFile}`.',
);

const anyVersion = ['', 'TLSv1_2', 'TLSv1_3'] as const;

/** TLS keys of one server. An empty value takes the `general` one. */
function serverTls(server: string) {
  return {
    tlsCertFile: text('', `PEM file with the certificate chain of the ${server}. Empty: \`general.tlsCertFile\`.`),
    tlsKeyFile: text('', `PEM file with the private key of the ${server}. Empty: \`general.tlsKeyFile\`.`),
    tlsMinVersion: oneOf('', anyVersion, `Lowest TLS version of the ${server}. Empty: \`general.tlsMinVersion\`.`),
  };
}

const ADMIN = ['mesh-system:admin'];
const EVERYONE = ['mesh-system:unauthenticated', 'mesh-system:authenticated'];

/** Who may do one thing: a user or group in either list. */
function allowed(what: string, users: readonly string[], groups: readonly string[], envPrefix?: string) {
  const extras = (end: string) => (envPrefix === undefined ? {} : { env: `${envPrefix}_${end}` });
  return {
    users: list(users, `Users that may ${what}.`, extras('USERS')),
    groups: list(groups, `Groups whose members may ${what}.`, extras('GROUPS')),
  };
}

export const CONFIG_KEYS = {
  environment: oneOf(
    'universal',
    ['universal', 'kubernetes'],
    'Where the control plane runs: `universal` (processes and virtual machines) or `kubernetes`, where the API server is that of the Pod it runs in, else of KUBECONFIG.',
  ),
  mode: oneOf(
    'zone',
    ['zone'],
    'Role in a multi-zone deployment. This version knows `zone`, without a global control plane above it.',
  ),
  store: {
    type: oneOf(
      'sqlite',
      ['memory', 'sqlite', 'postgres', 'kubernetes'],
      'Where resources are kept. Kuma starts with `memory`; here the default survives a restart. `kubernetes` goes with environment `kubernetes`, and only with it.',
    ),
    sqlite: {
      path: text('', 'File of the embedded SQLite store.', { defaultText: '<general.workDir>/weft.db' }),
    },
    postgres: {
      host: text('127.0.0.1', 'Host of PostgreSQL.'),
      port: port(15432, 'Port of PostgreSQL.'),
      user: text('kuma', 'User of the database.'),
      password: text('kuma', 'Password of the user.', { secret: true }),
      dbName: text('kuma', 'Name of the database.'),
      connectionTimeout: count(5, 'Seconds to wait for a connection.'),
      maxConnectionIdleTime: duration('30m', 'A connection unused for so long is closed.'),
      maxConnectionLifetime: duration('1h', 'A connection older than this is closed after use.'),
      minOpenConnections: count(0, 'Connections kept open when idle.'),
      maxOpenConnections: count(50, 'Most connections at a time. 0: no limit.'),
      tls: {
        mode: oneOf(
          'disable',
          ['disable', 'verifyNone', 'verifyCa', 'verifyFull'],
          'TLS to PostgreSQL. `verifyNone` encrypts only, `verifyCa` checks the chain, `verifyFull` checks the host name too.',
        ),
        certPath: text('', 'PEM file with the client certificate.'),
        keyPath: text('', 'PEM file with the key of the client certificate.'),
        caPath: text('', 'PEM file with the CA that signed the server certificate.'),
      },
    },
    kubernetes: {
      systemNamespace: text(
        '',
        'Namespace of the control plane on Kubernetes; elsewhere the one that resources get in their Kubernetes form (`?format=kubernetes`).',
        { defaultText: 'kong-mesh-system with environment kubernetes, else kuma-system' },
      ),
    },
    unsafeDelete: flag(false, 'Lets a Mesh be deleted while Dataplanes are in it.'),
  },
  bootstrapServer: {
    params: {
      adminAddress: text('127.0.0.1', 'Address of the Envoy admin API on each proxy.'),
      adminPort: port(9901, 'Port of the Envoy admin API on each proxy; a Dataplane may set its own.'),
      adminAccessLogPath: text('/dev/null', 'File where Envoy logs admin requests.'),
      xdsHost: text('', 'Host that proxies use to reach xDS. Empty: the host they used for bootstrap.'),
      xdsPort: port(0, 'Port that proxies use to reach xDS. 0: `dpServer.port`.'),
      xdsConnectTimeout: duration('1s', 'How long Envoy waits for a connection to xDS.'),
    },
  },
  xdsServer: {
    dataplaneStatusFlushInterval: duration('10s', 'Insights of connected proxies are written at most this often.'),
    dataplaneDeregistrationDelay: duration(
      '10s',
      'A Dataplane that came with its proxy is removed so long after the stream ended.',
      {
        env: 'KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY',
      },
    ),
  },
  apiServer: {
    http: {
      enabled: flag(true, 'Serves the API over plain HTTP.'),
      interface: text('0.0.0.0', 'Address the HTTP API listens on.'),
      port: port(5681, 'Port of the HTTP API.'),
    },
    https: {
      enabled: flag(true, 'Serves the API over HTTPS.'),
      interface: text('0.0.0.0', 'Address the HTTPS API listens on.'),
      port: port(5682, 'Port of the HTTPS API.'),
      ...serverTls('HTTPS API'),
    },
    authn: {
      type: oneOf('tokens', ['tokens'], 'How users prove who they are.'),
      localhostIsAdmin: flag(true, 'A direct request from the same machine is made as the admin user.'),
      tokens: {
        bootstrapAdminToken: flag(
          true,
          'Creates an admin token at the first start, in the GlobalSecret `admin-user-token`.',
        ),
        enableIssuer: flag(true, 'Lets the control plane issue user tokens.'),
        validator: {
          useSecrets: flag(true, 'Accepts tokens signed with the signing keys kept in the store.'),
          publicKeys,
        },
      },
    },
    readOnly: flag(false, 'Refuses every write over the API.'),
    corsAllowedDomains: list([], 'Origins that browsers may call the API from; regular expressions.'),
    rootUrl: text('', 'Address of the API as clients see it, for links in answers. Empty: taken from the request.'),
    basePath: text('/', 'Path under which the API is served.'),
    readHeaderTimeout: duration('1s', 'How long a client may take to send the request header.'),
    readTimeout: duration('10s', 'How long a client may take to send the whole request.'),
    idleTimeout: duration('2m', 'How long an unused connection stays open.'),
  },
  runtime: {
    universal: {
      dataplaneCleanupAge: duration('72h', 'A stored Dataplane that was offline for so long is removed.'),
    },
    kubernetes: {
      controlPlaneServiceName: text(
        'weft-control-plane',
        'Service of the control plane in its namespace, by which sidecars and the API server find it.',
      ),
      serviceAccountName: text(
        '',
        'User that the control plane is to the API server; admission webhooks do not hold it up.',
        { defaultText: 'system:serviceaccount:<store.kubernetes.systemNamespace>:weft-control-plane' },
      ),
      allowedUsers: list(
        [],
        'More users whose writes are not held to the rules about places and labels, such as a storage migrator.',
      ),
      admissionServer: {
        address: text('', 'Address the admission server listens on. Empty: every address, IPv6 included.'),
        port: port(5443, 'Port of the admission server.'),
        certDir: text(
          '',
          'Directory with `tls.crt`, `tls.key` and optionally `ca.crt` of the admission server, read again when they change. Empty: the control plane makes and rotates its own.',
        ),
      },
      controllersConcurrency: {
        podController: count(10, 'Pods whose Dataplanes are written at the same time.'),
      },
      injector: {
        ...INJECTOR_KEYS,
        ignoredServiceSelectorLabels: list(
          [],
          "Labels of a Service's selector that do not decide which Pods are behind it: a Pod that lacks them is an ignored inbound.",
        ),
        nodeLabelsToCopy: list(
          ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'kubernetes.io/hostname'],
          'Labels of a Node that become tags of the Dataplanes of its Pods. Empty: Nodes are not read.',
        ),
      },
    },
  },
  defaults: {
    skipMeshCreation: flag(false, 'Does not create the Mesh `default` at the first start.'),
  },
  metrics: {
    dataplane: {
      subscriptionLimit: count(2, 'Number of subscriptions kept in a DataplaneInsight. 0: all.'),
    },
    mesh: {
      minResyncInterval: duration('1s', 'MeshInsight and ServiceInsight are written at most this often.'),
    },
  },
  general: {
    tlsCertFile: text(
      '',
      'PEM file with the certificate chain of every server that has none of its own. Empty: one is made in `workDir`.',
    ),
    tlsKeyFile: text('', 'PEM file with the private key of `tlsCertFile`.'),
    tlsMinVersion: oneOf('TLSv1_2', ['TLSv1_2', 'TLSv1_3'], 'Lowest TLS version of every server.'),
    workDir: text('', 'Directory for generated certificates, the sealing key and the embedded store.', {
      defaultText: '<home>/.weft',
    }),
  },
  multizone: {
    zone: {
      name: text('default', 'Name of this zone; the tag `kuma.io/zone` of its proxies.'),
    },
  },
  diagnostics: {
    serverPort: port(5680, 'Port of `/healthy`, `/ready` and `/metrics`.'),
    tlsEnabled: flag(false, 'Serves diagnostics over HTTPS.'),
    ...serverTls('diagnostics server'),
  },
  dpServer: {
    port: port(5678, 'Port of bootstrap and xDS.'),
    ...serverTls('data plane server'),
    authn: {
      dpProxy: {
        type: oneOf(
          '',
          ['', 'dpToken', 'serviceAccountToken', 'none'],
          'How sidecars prove who they are: with a data plane token, or on Kubernetes with the ServiceAccount token of their Pod. `none` is for tests only.',
          { defaultText: 'serviceAccountToken with environment kubernetes, else dpToken' },
        ),
        dpToken: {
          enableIssuer: flag(true, 'Lets the control plane issue data plane tokens.'),
          validator: {
            useSecrets: flag(true, 'Accepts tokens signed with the signing keys kept in the store.'),
            publicKeys: meshedPublicKeys,
          },
        },
      },
      zoneProxy: {
        type: oneOf(
          'zoneToken',
          ['zoneToken', 'none'],
          'How zone ingresses and egresses prove who they are. `none` is for tests only.',
        ),
        zoneToken: {
          enableIssuer: flag(true, 'Lets the control plane issue zone tokens.'),
          validator: {
            useSecrets: flag(true, 'Accepts tokens signed with the signing keys kept in the store.'),
            publicKeys,
          },
        },
      },
      enableReloadableTokens: flag(false, 'Proxies read their token from its file at each connection instead of once.'),
    },
  },
  access: {
    type: oneOf('static', ['static'], 'Where access rules come from.'),
    static: {
      adminResources: allowed('read and write Secrets and GlobalSecrets', ADMIN, ADMIN),
      generateDpToken: allowed('generate data plane tokens', ADMIN, ADMIN),
      generateUserToken: allowed('generate user tokens', ADMIN, ADMIN),
      generateZoneToken: allowed('generate zone tokens', ADMIN, ADMIN),
      viewConfigDump: allowed(
        'see the Envoy configuration of a proxy',
        [],
        EVERYONE,
        'KUMA_ACCESS_STATIC_GET_CONFIG_DUMP',
      ),
      viewStats: allowed('see the Envoy stats of a proxy', [], EVERYONE),
      viewClusters: allowed('see the Envoy clusters of a proxy', [], EVERYONE),
      controlPlaneMetadata: allowed('see the configuration of the control plane', [], EVERYONE),
    },
  },
  experimental: {
    sidecarContainers: flag(
      true,
      'Sidecars are native ones: init containers that stay, started first and stopped last (Kubernetes 1.29 or newer). Kuma starts with false.',
    ),
    deltaXds: flag(false, 'Tells every proxy to use delta xDS, also those that did not ask for it.'),
  },
  weft: {
    log: {
      level: oneOf('info', ['debug', 'info', 'warn', 'error', 'off'], 'Least severe log line that is written.'),
    },
    interfaces: {
      dpServer: text('', 'Address the data plane server listens on. Empty: every address, IPv6 included.'),
      diagnostics: text('', 'Address the diagnostics server listens on. Empty: every address, IPv6 included.'),
    },
    identity: {
      leafKeyType: oneOf(
        'ec-p256',
        ['ec-p256', 'rsa-2048'],
        'Key of the certificates that proxies get. RSA costs about two hundred times as much to make; it is for workloads that need it.',
      ),
      sealingKeyFile: text(
        '',
        'File with the key that seals issued leaves in the store: 32 bytes in base64, made at the first start with mode 0600. Control planes that share a PostgreSQL or a cluster keep it there unless a file is given.',
        {
          defaultText: '<general.workDir>/sealing.key; none with PostgreSQL and Kubernetes',
        },
      ),
    },
    kubernetes: {
      allowTokensWithoutPod: flag(
        false,
        'A ServiceAccount token that belongs to no Pod, such as one kept in a Secret, is good for every Pod of its ServiceAccount.',
      ),
    },
    ca: {
      allowedFileRoots: list(
        [],
        'Directories from which a CA backend may read a `file` data source. Empty: none, and such a backend is refused. Kuma reads any file.',
      ),
      allowedEndpoints: endpointList(
        'Where a CA backend may call although it is refused otherwise: addresses of this machine (loopback), link-local ones and metadata services. Each is a host, `host:port`, an address or a CIDR, such as `127.0.0.1:8100` for a Vault agent. Any other address needs no entry.',
        parseAllowedEndpoint,
      ),
      plugins: objects(
        pluginSetting,
        'CA backends of your own ([guide](../guides/write-a-ca-backend.md)): a list of `{type, module, env, read, allow, memoryMb}`. `type` is what a Mesh says in `mtls.backends[].type`; `module` is a file, the folder of a package, or a package installed in `general.workDir`. Its process gets the variables named in `env` (none), may read the folders in `read` besides its own, and may do what is in `allow`: `addons`, `child-processes` (nothing). `memoryMb` (256) is its largest heap. In the variable: the same as JSON.',
        { env: 'WEFT_CA_PLUGINS' },
      ),
    },
  },
} satisfies SettingTree;

/** The whole configuration: every key present, durations in milliseconds, paths absolute. */
export type ControlPlaneConfig = ConfigOf<typeof CONFIG_KEYS>;
