/** The `ca` commands, as data; see `commands.ts`. */
import type { CommandSpec } from './command.ts';

export const CA_COMMANDS: readonly CommandSpec[] = [
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
