/**
 * The import rules of ARCHITECTURE.md, held on the compiled code in dist/ (type-only imports are gone there, and may cross upward).
 * `tests/integration/layers.test.ts` compares the folders here, in ARCHITECTURE.md and on disk.
 */

/** Folder of src/ to the folders it may import from, besides itself. */
export const LAYERS = {
  lib: [],
  resources: ['lib'],
  x509: ['lib'],
  envoy: ['protos', 'lib'],
  policies: ['resources', 'envoy', 'protos', 'lib'],
  mesh: ['resources', 'lib'],
  xds: ['mesh', 'policies', 'envoy', 'resources', 'protos', 'lib'],
  bootstrap: ['envoy', 'resources', 'protos', 'lib'],
  'k8s/api': ['resources', 'lib'],
  'k8s/inject': ['k8s/api', 'bootstrap', 'resources', 'lib'],
  'k8s/webhooks': ['k8s/api', 'k8s/inject', 'resources', 'store', 'auth', 'x509', 'lib'],
  'k8s/controllers': ['k8s/api', 'k8s/inject', 'mesh', 'resources', 'store', 'lib'],
  'transparent-proxy': ['lib'],
  install: ['k8s/api', 'resources', 'policies', 'lib'],
  store: ['k8s/api', 'resources', 'lib'],
  ca: ['k8s/api', 'x509', 'resources', 'lib'],
  identity: ['ca', 'x509', 'resources', 'lib'],
  rotation: ['resources', 'lib'],
  auth: ['resources', 'lib'],
  'xds-server': ['protos', 'lib'],
  'key-stream': ['lib'],
  push: ['store', 'mesh', 'identity', 'insights', 'xds', 'xds-server', 'key-stream', 'envoy', 'resources', 'lib'],
  insights: ['mesh', 'resources', 'store', 'lib'],
  rest: ['resources', 'rotation', 'store', 'auth', 'bootstrap', 'mesh', 'policies', 'xds', 'protos', 'lib'],
  'control-plane': [
    'lib',
    'resources',
    'envoy',
    'x509',
    'policies',
    'mesh',
    'xds',
    'xds-server',
    'key-stream',
    'bootstrap',
    'store',
    'ca',
    'identity',
    'rotation',
    'auth',
    'push',
    'insights',
    'rest',
    'k8s/api',
    'k8s/inject',
    'k8s/webhooks',
    'k8s/controllers',
  ],
  cli: [
    'resources',
    'identity',
    'policies',
    'control-plane',
    'dataplane',
    'demo',
    'install',
    'k8s/api',
    'transparent-proxy',
    'x509',
    'lib',
  ],
  dataplane: ['transparent-proxy', 'key-stream', 'x509', 'resources', 'lib'],
  demo: ['dataplane', 'x509', 'lib'],
  bin: ['control-plane', 'ca', 'cli', 'dataplane', 'demo'],
};

/** No I/O, no clock, no randomness: these import no `node:` module but the listed ones. */
export const PURE = [
  'resources',
  'envoy',
  'policies',
  'mesh',
  'rotation',
  'xds',
  'bootstrap',
  'k8s/inject',
  'transparent-proxy',
  'install',
];
const HARMLESS_NODE_MODULES = '^node:(buffer|crypto|net)$|^(buffer|crypto|net)$';

const quote = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const OWN = '^(dist/[^/]+/|protos/dist/)';

const layerRules = Object.entries(LAYERS).map(([folder, allowed]) => ({
  name: `layer-${folder}`,
  comment: `src/${folder} may import from: ${allowed.join(', ') || 'nothing of ours'}`,
  severity: 'error',
  from: { path: `^dist/${quote(folder)}/` },
  to: {
    path: OWN,
    pathNot: `^(dist/(${[folder, ...allowed].map(quote).join('|')})/${allowed.includes('protos') ? '|protos/dist/' : ''})`,
  },
}));

const only = (name, packages, folder) => ({
  name,
  comment: `only ${folder} knows ${packages}`,
  severity: 'error',
  from: { pathNot: `^(${folder}|node_modules)` },
  to: { path: `^node_modules/(${packages})(/|$)` },
});

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphan-folders',
      comment: 'add the folder to ARCHITECTURE.md and LAYERS first',
      severity: 'error',
      from: { path: '^dist/', pathNot: `^dist/(${Object.keys(LAYERS).map(quote).join('|')})/` },
      to: {},
    },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...layerRules,
    {
      name: 'pure-folders',
      comment: 'pure folders do no I/O',
      severity: 'error',
      from: { path: `^dist/(${PURE.join('|')})/` },
      to: { dependencyTypes: ['core'], pathNot: HARMLESS_NODE_MODULES },
    },
    only('x509-library', '@peculiar|reflect-metadata', 'dist/x509/'),
    only('database-drivers', 'pg', 'dist/store/'),
    only('kubernetes-client', '@kubernetes', 'dist/k8s/api/'),
    only('http-client', 'undici', 'dist/(k8s/api/|ca/egress.js)'),
    only('grpc-library', '@grpc', 'dist/xds-server/'),
    only('aws-libraries', '@aws-sdk|@smithy|@aws', 'dist/ca/aws/'),
    only('http-server', 'fastify|@fastify', 'dist/rest/'),
    only('log-library', 'pino', 'dist/lib/'),
    only('command-library', 'commander', 'dist/cli/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.d\\.ts$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
