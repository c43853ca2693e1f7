import { fetchText } from '../api/answers.ts';
import { fetchResourceTypes, pathOf, resolveType } from '../api/resource-types.ts';
import { type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError } from '../errors.ts';
import { printText } from '../output/print.ts';
import { missing } from './get.ts';

/** `weft delete TYPE NAME`. */
export async function run(invocation: Invocation): Promise<void> {
  const [word = '', name = ''] = invocation.args;
  const client = await openClient(invocation);
  const type = resolveType(word, await fetchResourceTypes(client));
  const mesh = meshOf(invocation);
  await fetchText(client, {
    method: 'DELETE',
    path: pathOf(type, mesh, name),
    doing: `delete ${type.name} ${name}`,
  }).catch((error) => {
    throw error instanceof CliError && error.code === 'not-found' ? missing(type, name, mesh) : error;
  });
  const deleted = { type: type.name, ...(type.scope === 'Mesh' ? { mesh } : {}), name };
  await printText(invocation, `deleted ${type.name} "${name}"\n`, { deleted });
}
