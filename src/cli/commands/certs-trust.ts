import { fetchJson } from '../api/answers.ts';
import { type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { usageError } from '../errors.ts';
import { printText } from '../output/print.ts';
import { distrustTarget } from './certs-distrust.ts';

/** `weft certs trust`: ends a distrust. */
export async function run(invocation: Invocation): Promise<void> {
  const target = distrustTarget(invocation);
  if (target === undefined) throw usageError('certs trust: one of --serial, --service and --backend is needed');
  const { field, value } = target;
  const [kind, name] = field === 'serial' ? ['leaf', value.replaceAll(':', '').toLowerCase()] : [field, value];
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const answer = await fetchJson(client, {
    method: 'DELETE',
    path: ['meshes', mesh, '_distrust', kind, name],
    doing: `trust ${field} ${value} of mesh ${mesh} again`,
  });
  await printText(invocation, `${field} ${value} is trusted again\n`, answer);
}
