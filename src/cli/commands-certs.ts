/** The `certs` commands, as data; see `commands.ts`. */
import type { CommandSpec } from './command.ts';

const PROXY = { name: '<proxy>', description: 'name of the Dataplane' };

const DISTRUST_TARGETS = [
  { flags: '--serial <hex>', description: 'one certificate by its serial number' },
  { flags: '--service <name>', description: 'all certificates of this service' },
  { flags: '--backend <name>', description: 'all certificates of this CA backend' },
];

export const CERTS_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'certs list',
    summary: 'List certificates of proxies',
    details:
      'States: none, valid, due (its renewal has begun), overdue (something is in the way), expired, external (somebody else issues it), unknown. With --expires-in the exit code is 1 when there is any.',
    options: [
      {
        flags: '--state <state>',
        description: 'only these: none, valid, due, overdue, expired, external, unknown',
        repeat: true,
      },
      { flags: '--service <name>', description: 'only proxies of this service' },
      { flags: '--backend <name>', description: 'only certificates of this CA backend' },
      { flags: '--name <text>', description: 'only proxies whose name has this in it' },
      {
        flags: '--expires-in <threshold>',
        description:
          'only those with no more left than a share of their life (20%) or a time (2h); exit code 1 when there are any',
      },
      { flags: '--size <number>', description: 'one page of so many; all pages when left out' },
      { flags: '--offset <offset>', description: 'page that starts here, from the line below a former page' },
    ],
    examples: [
      ['All of the mesh', 'weft certs list'],
      ['With serial, issuer and renewal', 'weft certs list -o wide'],
      ['What does not renew', 'weft certs list --state overdue,expired'],
      ['In a script: fail when one has less than a fifth of its life left', 'weft certs list --expires-in 20%'],
    ],
    load: () => import('./commands/certs-list.ts'),
  },
  {
    path: 'certs show',
    summary: 'Show the certificate of one proxy',
    arguments: [PROXY],
    options: [{ flags: '--pem', description: 'print the certificate and its intermediates as PEM, nothing else' }],
    examples: [
      ['In short', 'weft certs show web-1'],
      ['For another program', 'weft certs show web-1 --pem | openssl x509 -noout -text'],
    ],
    load: () => import('./commands/certs-show.ts'),
  },
  {
    path: 'certs verify',
    summary: 'Check a certificate against what the mesh trusts',
    details:
      'Chain, dates, names, key usage and signature, each with what was found. The exit code is 1 when one of them is not good. With --file a PEM file instead of a proxy; with --ca-file as well no control plane is asked.',
    arguments: [{ name: '[proxy]', description: 'name of the Dataplane' }],
    options: [
      { flags: '-f, --file <path>', description: 'PEM file with the certificate and its intermediates' },
      { flags: '--ca-file <path>', description: 'PEM file with what is trusted, instead of what the mesh trusts' },
    ],
    examples: [
      ['Of a proxy', 'weft certs verify web-1'],
      ['Of a file', 'weft certs verify --file chain.pem --mesh demo'],
    ],
    load: () => import('./commands/certs-verify.ts'),
  },
  {
    path: 'certs renew',
    summary: 'Renew the certificate of one proxy, or those of a service or the mesh',
    details:
      'Many are renewed one after the other, spread over a quarter of their life and at most 15 minutes. A certificate stays in use until its successor is there. How often one may ask is limited.',
    arguments: [{ name: '[proxy]', description: 'name of the Dataplane' }],
    options: [
      { flags: '--service <name>', description: 'those of this service' },
      { flags: '--all', description: 'those of the whole mesh' },
      { flags: '--backend <name>', description: 'only certificates of this CA backend' },
      { flags: '--wait <duration>', description: 'one proxy: wait until it is renewed, at most so long' },
    ],
    examples: [
      ['One, and wait for it', 'weft certs renew web-1 --wait 30s'],
      ['A service', 'weft certs renew --service web'],
      ['What a backend has issued', 'weft certs renew --all --backend ca-1'],
    ],
    load: () => import('./commands/certs-renew.ts'),
  },
  {
    path: 'certs history',
    summary: 'Show the last certificates of one proxy, and why each was issued',
    arguments: [PROXY],
    examples: [['', 'weft certs history web-1']],
    load: () => import('./commands/certs-history.ts'),
  },
  {
    path: 'certs distrust',
    summary: 'Trust a certificate, those of a service, or those of a CA backend no more',
    details:
      'Proxies that hold such a certificate get another one with a new key at once. Where the control plane has the key of the CA, the old ones are refused everywhere (CRL) and connections that rest on them end; elsewhere the answer says what happens instead. See docs/guides/distrust.md.',
    arguments: [{ name: '[proxy]', description: 'name of the Dataplane whose certificate it is' }],
    options: [...DISTRUST_TARGETS, { flags: '--reason <text>', description: 'for those who look later' }],
    examples: [
      ['The key of a proxy leaked', 'weft certs distrust web-1 --reason "disk was stolen"'],
      ['Keys of a service leaked', 'weft certs distrust --service web'],
      ['The key of a CA leaked, after going over to another one', 'weft certs distrust --backend ca-1'],
    ],
    load: () => import('./commands/certs-distrust.ts'),
  },
  {
    path: 'certs distrusted',
    summary: 'List what a mesh trusts no more, and what that does',
    examples: [['', 'weft certs distrusted --mesh demo']],
    load: () => import('./commands/certs-distrusted.ts'),
  },
  {
    path: 'certs trust',
    summary: 'Trust again what was distrusted',
    options: DISTRUST_TARGETS,
    examples: [['A service that was refused', 'weft certs trust --service web']],
    load: () => import('./commands/certs-trust.ts'),
  },
];
