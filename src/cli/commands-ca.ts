/** The `ca` commands, as data; see `commands.ts`. */
import type { CommandSpec } from './command.ts';

export const CA_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'ca rotate',
    summary: 'Change the CA of a mesh without a failed request',
    details:
      'The control plane does it step by step: every proxy trusts both CAs, then the new one issues, spread over time, then the old one is no longer needed. Each step waits until all connected proxies have acknowledged the one before. The command shows how far it is; Ctrl-C leaves it running. The exit code is 1 when it did not come to its end.',
    options: [
      { flags: '--to <backend>', description: 'backend that shall issue; listed in the Mesh beside the one that does' },
      { flags: '--renew', description: 'a new CA for the builtin backend that issues' },
      {
        flags: '--offline <policy>',
        description:
          'proxies that are away: wait until they are back or their certificate has expired, or no longer than a duration such as 10m',
        default: 'wait',
      },
      { flags: '--drop-old', description: 'take the old backend off the Mesh in the end' },
      { flags: '--rollback', description: 'take back the rotation that is under way: the old CA issues again' },
      { flags: '--pause', description: 'hold it before its next step' },
      { flags: '--resume', description: 'go on after --pause' },
      { flags: '--status', description: 'show how far it is, and end' },
      { flags: '--no-wait', description: 'begin it, and end' },
    ],
    examples: [
      ['From the backend that issues to another one that is listed', 'weft ca rotate --mesh default --to vault-1'],
      ['And take the old one off the Mesh', 'weft ca rotate --to vault-1 --offline 10m --drop-old'],
      ['How far is it?', 'weft ca rotate --status'],
      ['Back again', 'weft ca rotate --rollback'],
      ['A new CA for the builtin backend', 'weft ca rotate --renew'],
    ],
    load: () => import('./commands/ca-rotate.ts'),
  },
  {
    path: 'ca test',
    summary: 'Have a CA backend issue a certificate that nobody uses, and check it as a real one',
    details:
      'Asks what to trust, looks at what is allowed, issues, checks, and does a TLS handshake with both sides verified; each step with its time. What is missing is printed as something to paste. The exit code is 1 when something is. Costs the issuer one certificate, and how often one may ask is limited.',
    arguments: [{ name: '<backend>', description: 'name of the backend in the Mesh' }],
    examples: [
      ['Before it is the one that issues', 'weft ca test vault-1 --mesh default'],
      ['In a pipeline', 'weft ca test vault-1 -o json'],
    ],
    load: () => import('./commands/ca-test.ts'),
  },
];
