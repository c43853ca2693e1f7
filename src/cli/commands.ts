/** Every command of `weft`, as data: help, `docs/reference/cli.md` and completion are made of it. Code is loaded when a command runs. */
import type { CommandSpec, OptionSpec } from './command.ts';
import { CA_COMMANDS } from './commands-ca.ts';
import { CERTS_COMMANDS } from './commands-certs.ts';
import { GENERATE_COMMANDS } from './commands-generate.ts';
import { INSTALL_COMMANDS } from './commands-install.ts';
import { TRANSPARENT_PROXY_COMMANDS } from './commands-transparent-proxy.ts';

export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '-m, --mesh <name>', description: 'mesh to use', default: 'default' },
  {
    flags: '-o, --output <format>',
    description: 'form of the answer, and of errors',
    choices: ['table', 'wide', 'yaml', 'json'],
    default: 'table',
  },
  { flags: '--cp-address <url>', description: 'API of the control plane for this one command' },
  { flags: '--context <name>', description: 'control plane of the configuration file for this one command' },
  {
    flags: '--config-file <path>',
    description: 'file with the known control planes',
    default: '~/.weft/config, else ~/.kumactl/config',
  },
  { flags: '--no-config', description: 'read and write no configuration file; use http://localhost:5681' },
  {
    flags: '--api-timeout <duration>',
    description: 'longest wait for one answer of the API; 0 is no limit',
    default: '1m',
  },
  {
    flags: '--log-level <level>',
    description: 'debug shows each API request on stderr',
    choices: ['off', 'info', 'warn', 'error', 'debug'],
  },
];

/** Summaries of words that only hold further commands. */
export const GROUPS: Readonly<
  Record<string, { readonly summary: string; readonly examples: CommandSpec['examples'] }>
> = {
  cp: { summary: 'Run and maintain a control plane', examples: [['Run one with the embedded store', 'weft cp run']] },
  'cp migrate': {
    summary: 'Bring the database up to date',
    examples: [['Create or update the tables', 'weft cp migrate up']],
  },
  dp: { summary: 'Run a data plane proxy', examples: [['See its flags', 'weft dp run --help']] },
  install: {
    summary: 'Install parts of the mesh',
    examples: [
      ['A control plane on Kubernetes', 'weft install control-plane | kubectl apply --server-side -f -'],
      ['Redirect the traffic of this machine to its proxy', 'weft install transparent-proxy'],
    ],
  },
  uninstall: {
    summary: 'Take away what install made',
    examples: [['Stop redirecting', 'weft uninstall transparent-proxy']],
  },
  ca: {
    summary: 'Look after the CAs of a mesh',
    examples: [['Take another one', 'weft ca rotate --to vault-1']],
  },
  generate: {
    summary: 'Generate tokens, keys and certificates',
    examples: [['A token for one mesh', 'weft generate dataplane-token --mesh default --valid-for 24h']],
  },
  certs: {
    summary: 'Look at the certificates of proxies, check and renew them',
    examples: [['Those of a mesh', 'weft certs list --mesh default']],
  },
  config: {
    summary: 'Choose the control plane that commands talk to',
    examples: [['See what is known', 'weft config view']],
  },
  'config control-planes': {
    summary: 'Manage known control planes',
    examples: [['List them', 'weft config control-planes list']],
  },
  completion: {
    summary: 'Print a script that completes words of a command line',
    examples: [['In this bash', 'source <(weft completion bash)']],
  },
};

const planeCommands: readonly CommandSpec[] = [
  {
    path: 'config view',
    summary: 'Show the configuration file, tokens masked',
    examples: [['', 'weft config view']],
    load: () => import('./commands/config.ts').then((module) => ({ run: module.viewConfig })),
  },
  {
    path: 'config control-planes add',
    summary: 'Add a control plane and make it the active one',
    options: [
      { flags: '--name <name>', description: 'name to remember it by', required: true },
      { flags: '--address <url>', description: 'address of its API', required: true },
      { flags: '--auth-type <type>', description: 'how to authenticate: tokens' },
      { flags: '--auth-conf <key=value>', description: 'what to authenticate with: token=<user token>', repeat: true },
      { flags: '--headers <key=value>', description: 'header to send with each request', repeat: true },
      {
        flags: '--ca-cert-file <path>',
        description: 'CA that signed the certificate of the API; only the path is kept',
      },
      { flags: '--client-cert-file <path>', description: 'client certificate; only the path is kept' },
      { flags: '--client-key-file <path>', description: 'key of the client certificate; only the path is kept' },
      { flags: '--skip-verify', description: 'do not check the certificate of the API; each command then warns' },
      { flags: '--skip-check', description: 'do not connect to it now' },
      { flags: '--overwrite', description: 'replace one of the same name' },
    ],
    examples: [
      ['One on this machine', 'weft config control-planes add --name local --address http://localhost:5681'],
      [
        'A remote one with a token',
        'weft config control-planes add --name prod --address https://cp.example.com:5682 \\\n  --ca-cert-file ca.pem --auth-type=tokens --auth-conf token="$(cat token)"',
      ],
    ],
    load: () => import('./commands/config.ts').then((module) => ({ run: module.addControlPlane })),
  },
  {
    path: 'config control-planes list',
    summary: 'List known control planes',
    examples: [['', 'weft config control-planes list']],
    load: () => import('./commands/config.ts').then((module) => ({ run: module.listControlPlanes })),
  },
  {
    path: 'config control-planes remove',
    summary: 'Forget a control plane',
    options: [{ flags: '--name <name>', description: 'which one', required: true }],
    examples: [['', 'weft config control-planes remove --name prod']],
    load: () => import('./commands/config.ts').then((module) => ({ run: module.removeControlPlane })),
  },
  {
    path: 'config control-planes switch',
    summary: 'Make a control plane the active one',
    options: [{ flags: '--name <name>', description: 'which one', required: true }],
    examples: [['', 'weft config control-planes switch --name local']],
    load: () => import('./commands/config.ts').then((module) => ({ run: module.switchControlPlane })),
  },
];

const resourceCommands: readonly CommandSpec[] = [
  {
    path: 'get',
    summary: 'Show resources',
    details:
      'A type is named by its kind, its REST path, singular or plural, in any letter case, with or without dashes.',
    arguments: [
      { name: '[type]', description: 'resource type, such as meshes, dataplane, MeshTrafficPermission' },
      { name: '[name]', description: 'one resource; all of them when left out' },
    ],
    options: [
      { flags: '-A, --all-meshes', description: 'resources of every mesh' },
      { flags: '--size <number>', description: 'one page of so many; all pages when left out' },
      { flags: '--offset <offset>', description: 'page that starts here, from the line below a former page' },
      { flags: '--list-types', description: 'show the types that the control plane knows' },
    ],
    examples: [
      ['All meshes', 'weft get meshes'],
      ['One proxy as YAML', 'weft get dataplane web-01 -o yaml'],
      ['A policy in every mesh', 'weft get meshtrafficpermissions --all-meshes'],
    ],
    load: () => import('./commands/get.ts'),
  },
  {
    path: 'apply',
    summary: 'Create or change resources',
    details:
      'Takes any number of YAML or JSON documents. All are read before the first one is sent; they are sent in order, up to the first that is refused.',
    options: [
      { flags: '-f, --file <path>', description: 'file, folder, http(s) URL, or - for standard input', required: true },
      { flags: '-v, --var <key=value>', description: 'value for {{ key }} in the documents', repeat: true },
      { flags: '--dry-run', description: 'show the documents with their values filled in, change nothing' },
    ],
    examples: [
      ['From a file', 'weft apply -f mesh.yaml'],
      ['From standard input, with a value', 'echo "{type: Mesh, name: {{ name }}}" | weft apply -f - -v name=demo'],
      ['Look first', 'weft apply -f policies/ --dry-run'],
    ],
    load: () => import('./commands/apply.ts'),
  },
  {
    path: 'delete',
    summary: 'Delete a resource',
    arguments: [
      { name: '<type>', description: 'resource type, named as in get' },
      { name: '<name>', description: 'name of the resource' },
    ],
    examples: [
      ['A mesh', 'weft delete mesh demo'],
      ['A policy of a mesh', 'weft delete meshtrafficpermission allow-all --mesh demo'],
    ],
    load: () => import('./commands/delete.ts'),
  },
  {
    path: 'inspect',
    summary: 'Show how things are: proxies and their certificates, services, zones, what a policy reaches',
    details:
      'WHAT is meshes, mesh, dataplanes, dataplane, services, zones, zoneingresses, zoneingress, zoneegresses, zoneegress, or a policy type.',
    arguments: [
      { name: '<what>', description: 'what to look at' },
      { name: '[name]', description: 'name of one mesh, proxy or policy' },
    ],
    options: [
      { flags: '--tag <key=value>', description: 'dataplanes: only those with this tag', repeat: true },
      { flags: '--gateway', description: 'dataplanes: only gateways' },
      { flags: '--ingress', description: 'dataplanes: only ingresses (old form)' },
      {
        flags: '--type <type>',
        description: 'one proxy: what to see',
        choices: ['policies', 'config', 'config-dump', 'stats', 'clusters'],
      },
      { flags: '--shadow', description: 'with --type config: count policies labelled kuma.io/effect: shadow' },
      {
        flags: '--include <what>',
        description: 'with --type config: also the difference to the current configuration (diff)',
        repeat: true,
      },
      { flags: '--include-eds', description: 'with --type config-dump: also endpoints' },
      { flags: '--new-api', description: 'policies: accepted, always so', hidden: true },
      { flags: '--offset <offset>', description: 'policies: page that starts here', hidden: true },
    ],
    examples: [
      ['Proxies, whether they are online, their certificates', 'weft inspect dataplanes'],
      ['Where the certificates of a mesh come from, and what is in the way', 'weft inspect mesh demo'],
      ['What a proxy is configured with', 'weft inspect dataplane web-01 --type config'],
      ['Which proxies a policy reaches', 'weft inspect meshtrafficpermission allow-all'],
      ['Services of a mesh', 'weft inspect services --mesh demo'],
    ],
    load: () => import('./commands/inspect.ts'),
  },
  {
    path: 'export',
    summary: 'Print resources so that they can be applied elsewhere',
    details:
      'In a federation profile builtin CAs become provided ones, so that leaves of the old and the new control plane trust each other; secrets are part of it.',
    options: [
      {
        flags: '-p, --profile <profile>',
        description: 'which resources',
        choices: ['all', 'federation', 'federation-with-policies', 'no-dataplanes'],
        default: 'federation',
      },
      {
        flags: '-f, --format <format>',
        description: 'form of the resources',
        choices: ['universal', 'kubernetes'],
        default: 'universal',
      },
      { flags: '-a, --include-admin', description: 'secrets too; always so in a federation profile' },
      {
        flags: '-n, --system-namespace <name>',
        description: 'Kubernetes: namespace of the control plane',
        default: 'kuma-system',
      },
    ],
    examples: [
      ['Everything but secrets', 'weft export --profile all > everything.yaml'],
      ['For a new global control plane', 'weft export > federation.yaml'],
    ],
    load: () => import('./commands/export.ts'),
  },
];

export const COMMANDS: readonly CommandSpec[] = [
  {
    path: 'up',
    summary: 'Run a whole mesh on this machine: control plane, two services, a proxy beside each',
    details:
      'Shows certificates as they rotate, until Ctrl-C, which leaves nothing behind. Off a terminal it ends after three rotations.',
    options: [
      {
        flags: '--rotations <n>',
        description: 'stop after so many rotations of each certificate; exit code 1 when a request failed',
      },
      { flags: '--lifetime <duration>', description: 'how long a certificate lives', default: '20s' },
      { flags: '--requests-per-second <n>', description: 'load from web to api', default: '50' },
      { flags: '--binary-path <path>', description: 'Envoy program', default: 'envoy on PATH, else fetched once' },
      { flags: '--keep-files', description: 'keep configuration, store and logs' },
    ],
    examples: [
      ['Watch certificates rotate', 'weft up'],
      ['As a test', 'weft up --rotations 3'],
      ['For a program', 'weft up --rotations 3 -o json'],
    ],
    load: () => import('./commands/up.ts'),
  },
  {
    path: 'check',
    summary: 'Check a control plane and everything around it: quiet when all is well, with reason and fix when not',
    details:
      'On Kubernetes: API server, rights, definitions, webhooks, control plane, cert-manager, issuers, clocks, proxies, certificates. Elsewhere what the API of the control plane shows. Each check: docs/reference/checks.md.',
    options: [
      {
        flags: '--environment <environment>',
        description: 'what to look at',
        choices: ['kubernetes', 'universal'],
        default: 'by the other flags, else kubernetes when there is a kubeconfig',
      },
      {
        flags: '--kubeconfig <path>',
        description: 'Kubernetes: file with the cluster',
        default: 'KUBECONFIG, ~/.kube/config',
      },
      { flags: '--kube-context <name>', description: 'Kubernetes: context of the kubeconfig' },
      {
        flags: '-n, --namespace <name>',
        description: 'Kubernetes: namespace of the control plane',
        default: 'kong-mesh-system',
      },
      { flags: '--wait <duration>', description: 'look again until all is well, at most so long' },
      {
        flags: '--fail-on <outcome>',
        description: 'from which outcome on the exit code is 1',
        choices: ['fail', 'warn', 'warning'],
        default: 'fail',
      },
      {
        flags: '--expires-in <threshold>',
        description: 'both of the following at once',
      },
      {
        flags: '--leaf-expires-in <threshold>',
        description: 'a leaf with less left fails: a share of its life (20%) or a duration (2h)',
        default: '15%',
      },
      {
        flags: '--ca-expires-in <threshold>',
        description:
          'a CA, or a certificate of the control plane itself, with less left fails: a share of its life (20%) or a duration (60d)',
        default: 'the smaller of 10% and 30d',
      },
      { flags: '--issue', description: 'Kubernetes: have each issuer sign a throw-away certificate' },
      { flags: '-v, --verbose', description: 'show every check' },
    ],
    examples: [
      ['The cluster of the kubeconfig', 'weft check'],
      ['In a pipeline, after an installation', 'weft check --wait 2m --fail-on warn -o json'],
      ['A control plane on a machine', 'weft check --cp-address http://localhost:5681'],
      ['Sooner than usual', 'weft check --expires-in 25% --fail-on warn'],
      ['Does every issuer really sign?', 'weft check --issue'],
    ],
    load: () => import('./commands/check.ts'),
  },
  {
    path: 'cp run',
    summary: 'Run a control plane',
    details: 'Keys and environment variables: docs/reference/control-plane-config.md.',
    options: [
      { flags: '-c, --config <path>', description: 'YAML configuration file; environment variables win over it' },
    ],
    examples: [
      ['With the embedded store', 'weft cp run'],
      ['With a file', 'weft cp run -c control-plane.yaml'],
      ['With PostgreSQL', 'KUMA_STORE_TYPE=postgres KUMA_STORE_POSTGRES_HOST=db weft cp run'],
    ],
    load: () => import('./commands/cp-run.ts'),
  },
  {
    path: 'cp config',
    summary: 'Check a configuration and show it complete, secrets masked',
    options: [
      { flags: '-c, --config <path>', description: 'YAML configuration file; environment variables win over it' },
    ],
    examples: [['Before a restart', 'weft cp config -c control-plane.yaml']],
    load: () => import('./commands/cp-config.ts'),
  },
  {
    path: 'cp migrate up',
    summary: 'Create or update the tables of the configured database',
    options: [
      { flags: '-c, --config <path>', description: 'YAML configuration file; environment variables win over it' },
    ],
    examples: [['', 'weft cp migrate up -c control-plane.yaml']],
    load: () => import('./commands/cp-migrate.ts'),
  },
  {
    path: 'dp run',
    summary: 'Run Envoy beside a workload, configured by a control plane',
    examples: [
      [
        'With a Dataplane resource',
        'weft dp run --cp-address https://localhost:5678 --ca-cert-file ca.pem -d dataplane.yaml --dataplane-token-file token',
      ],
      ['Its flags', 'weft dp run --help'],
    ],
    // `main` has run it already, without this module: see there.
    load: () => import('./commands/dp-run.ts').then((module) => ({ run: module.refuse('dp run') })),
  },
  {
    path: 'dp bootstrap',
    summary: 'Write the bootstrap of an Envoy that runs by itself, and end',
    details:
      'For containers: Envoy then runs alone and reads its token from the file at every connection. Waits until the control plane knows the Dataplane.',
    examples: [
      [
        'Before Envoy starts',
        'weft dp bootstrap --cp-address https://cp:5678 --ca-cert-file ca.pem --name web-1 --dataplane-token-file token --config-dir /run/weft',
      ],
      ['Its flags', 'weft dp bootstrap --help'],
    ],
    load: () => import('./commands/dp-run.ts').then((module) => ({ run: module.refuse('dp bootstrap') })),
  },
  ...INSTALL_COMMANDS,
  ...TRANSPARENT_PROXY_COMMANDS,
  ...resourceCommands,
  ...CA_COMMANDS,
  ...CERTS_COMMANDS,
  ...GENERATE_COMMANDS,
  ...planeCommands,
  {
    path: 'version',
    summary: 'Print the version of this program and of the control plane',
    options: [{ flags: '-a, --detailed', description: 'everything that is known of both' }],
    examples: [['', 'weft version -a']],
    load: () => import('./commands/version.ts'),
  },
  ...(['bash', 'zsh', 'fish'] as const).map(
    (shell): CommandSpec => ({
      path: `completion ${shell}`,
      summary: `Print the completion script for ${shell}`,
      examples: [
        [`In this ${shell}`, shell === 'fish' ? 'weft completion fish | source' : `source <(weft completion ${shell})`],
      ],
      load: () =>
        import('./commands/completion.ts').then((module) => ({ run: (call) => module.printScript(shell, call) })),
    }),
  ),
];
