/** The `generate` commands, as data; see `commands.ts`. */
import type { CommandSpec, OptionSpec } from './command.ts';

const SIGNING_KEY: readonly OptionSpec[] = [
  {
    flags: '--signing-key-path <path>',
    description: 'file with a private signing key; the token is made here, without a control plane',
  },
  { flags: '--kid <id>', description: 'id of that key; needed with --signing-key-path' },
];

const VALID_FOR: OptionSpec = {
  flags: '--valid-for <duration>',
  description: 'how long the token is valid, such as 24h',
  required: true,
};

const tokenCommands: readonly CommandSpec[] = [
  {
    path: 'generate dataplane-token',
    summary: 'Generate a token with which a data plane proxy proves who it is',
    options: [
      { flags: '--name <name>', description: 'name of the Dataplane the token is bound to' },
      {
        flags: '--tag <key=value>',
        description: 'tag the proxy must have; several values are separated by commas',
        repeat: true,
      },
      { flags: '--proxy-type <type>', description: 'type of the proxy', choices: ['dataplane', 'ingress', 'egress'] },
      {
        flags: '--type <type>',
        description: 'old name of --proxy-type',
        choices: ['dataplane', 'ingress', 'egress'],
        hidden: true,
      },
      { flags: '--workload <name>', description: 'value of the workload label that the proxy must have' },
      VALID_FOR,
      ...SIGNING_KEY,
    ],
    examples: [
      ['Bound to a mesh', 'weft generate dataplane-token --mesh default --valid-for 24h'],
      ['Bound to one proxy', 'weft generate dataplane-token --mesh default --name web-01 --valid-for 24h'],
      ['Bound to services', 'weft generate dataplane-token --tag kuma.io/service=web,web-api --valid-for 24h'],
      [
        'Without a control plane',
        'weft generate dataplane-token --mesh default --valid-for 24h --signing-key-path key.pem --kid 1',
      ],
    ],
    load: () => import('./commands/generate-token.ts').then((module) => ({ run: module.generateDataplaneToken })),
  },
  {
    path: 'generate zone-token',
    summary: 'Generate a token with which a zone ingress or egress proves where it belongs',
    options: [
      { flags: '--zone <name>', description: 'zone the token is bound to' },
      {
        flags: '--scope <scope>',
        description: 'what the token is for: ingress, egress, cp',
        default: 'ingress,egress',
        repeat: true,
      },
      VALID_FOR,
      ...SIGNING_KEY,
    ],
    examples: [
      ['For ingress and egress of a zone', 'weft generate zone-token --zone east --valid-for 24h'],
      ['For egress only', 'weft generate zone-token --zone east --scope egress --valid-for 24h'],
    ],
    load: () => import('./commands/generate-token.ts').then((module) => ({ run: module.generateZoneToken })),
  },
  {
    path: 'generate user-token',
    summary: 'Generate a token with which a user proves who they are',
    options: [
      { flags: '--name <name>', description: 'name of the user', required: true },
      { flags: '--group <name>', description: 'group of the user', repeat: true },
      VALID_FOR,
      ...SIGNING_KEY,
    ],
    examples: [
      ['A user of a group', 'weft generate user-token --name jo@example.com --group team-a --valid-for 24h'],
      ['An administrator', 'weft generate user-token --name admin --group mesh-system:admin --valid-for 24h'],
    ],
    load: () => import('./commands/generate-token.ts').then((module) => ({ run: module.generateUserToken })),
  },
];

const keyCommands: readonly CommandSpec[] = [
  {
    path: 'generate signing-key',
    summary: 'Generate a private key that signs tokens',
    options: [
      {
        flags: '--format <format>',
        description: 'form of the key',
        choices: ['pem-base64', 'pem'],
        default: 'pem-base64',
      },
    ],
    examples: [
      ['For a Secret', 'weft generate signing-key'],
      ['For tokens made offline', 'weft generate signing-key --format pem > key.pem'],
    ],
    load: () => import('./commands/generate-key.ts').then((module) => ({ run: module.generateSigningKey })),
  },
  {
    path: 'generate public-key',
    summary: 'Print the public key of a signing key',
    options: [
      { flags: '--signing-key-path <path>', description: 'file with the private signing key, PEM', required: true },
    ],
    examples: [['For the configuration of a control plane', 'weft generate public-key --signing-key-path key.pem']],
    load: () => import('./commands/generate-key.ts').then((module) => ({ run: module.generatePublicKey })),
  },
  {
    path: 'generate tls-certificate',
    summary: 'Generate a self-signed certificate and its key, for example for a control plane',
    options: [
      {
        flags: '--type <type>',
        description: 'what the certificate is for',
        choices: ['server', 'client'],
        required: true,
      },
      { flags: '--hostname <name>', description: 'DNS name or IP address in it', repeat: true, required: true },
      { flags: '--key-type <type>', description: 'type of the key', choices: ['rsa', 'ecdsa'], default: 'rsa' },
      {
        flags: '--cert-file <path>',
        description: 'file for the certificate; - is standard output',
        default: 'cert.pem',
      },
      {
        flags: '--key-file <path>',
        description: 'file for the key, mode 0600; - is standard output',
        default: 'key.pem',
      },
    ],
    examples: [
      ['For a control plane', 'weft generate tls-certificate --type server --hostname cp.example.com,localhost'],
      [
        'For a client',
        'weft generate tls-certificate --type client --hostname admin --cert-file admin.crt --key-file admin.key',
      ],
    ],
    load: () => import('./commands/generate-certificate.ts'),
  },
];

/** Tokens, keys and certificates. */
export const GENERATE_COMMANDS: readonly CommandSpec[] = [...tokenCommands, ...keyCommands];
