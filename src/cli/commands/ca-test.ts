import type { BackendRehearsal } from '../../rest/rehearsal-source.ts';
import { fetchJson } from '../api/answers.ts';
import { type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError } from '../errors.ts';
import { printText } from '../output/print.ts';

/** `weft ca test BACKEND`. Exit code 1 when a real certificate would not be issued, or would not work. */
export async function run(invocation: Invocation): Promise<void> {
  const client = await openClient(invocation);
  const [backend = ''] = invocation.args;
  const mesh = meshOf(invocation);
  const answer = await fetchJson(client, {
    method: 'POST',
    path: ['meshes', mesh, '_mtls', backend, '_test'],
    doing: `test backend ${backend} of mesh ${mesh}`,
  });
  // The API of the same program: its description is the type.
  const rehearsal = answer as unknown as BackendRehearsal;
  await printText(invocation, rehearsalText(rehearsal), rehearsal);
  if (!rehearsal.ok) throw new CliError('server', `backend ${backend} of mesh ${mesh} would issue nothing that works`);
}

/** Ends with a newline. */
export function rehearsalText({ mesh, backend, type, steps, findings, usage }: BackendRehearsal): string {
  const lines = [
    `backend ${backend} (${type}) of mesh ${mesh}`,
    ...steps.map(
      ({ name, ok, ms, message }) => `${ok ? '✓' : '✗'} ${name.padEnd(9)} ${`${ms} ms`.padStart(8)}  ${message}`,
    ),
    ...findings.flatMap(({ field, message, fix }) => [
      '',
      `${field}: ${message}`,
      ...(fix === undefined
        ? []
        : fix
            .trimEnd()
            .split('\n')
            .map((line) => `    ${line}`)),
    ]),
    ...(usage.length === 0 ? [] : ['', ...usage]),
  ];
  return `${lines.join('\n')}\n`;
}
