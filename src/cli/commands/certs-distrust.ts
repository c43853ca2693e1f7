import { asText, fetchJson } from '../api/answers.ts';
import { fetchCertificate } from '../api/certificates.ts';
import { type Invocation, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { printText } from '../output/print.ts';

/** What a command line says is to be distrusted: exactly one of them. */
export interface DistrustTarget {
  readonly field: 'serial' | 'service' | 'backend';
  readonly value: string;
}

/** `undefined`: none is given. Throws a usage error for more than one. */
export function distrustTarget(invocation: Invocation): DistrustTarget | undefined {
  const given = (['serial', 'service', 'backend'] as const).flatMap((field) => {
    const value = textOption(invocation, field);
    return value === undefined ? [] : [{ field, value }];
  });
  if (given.length > 1) throw usageError('exactly one of --serial, --service and --backend is needed');
  return given[0];
}

/** `weft certs distrust [PROXY]`. */
export async function run(invocation: Invocation): Promise<void> {
  const [proxy] = invocation.args;
  const given = distrustTarget(invocation);
  if ((proxy === undefined) === (given === undefined)) {
    throw usageError('certs distrust: exactly one of a proxy, --serial, --service and --backend is needed');
  }
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const { field, value } = given ?? { field: 'serial', value: await serialOf(proxy!) };
  const answer = await fetchJson(client, {
    method: 'POST',
    path: ['meshes', mesh, '_distrust'],
    body: { [field]: value, reason: textOption(invocation, 'reason') },
    doing: `distrust ${field} ${value} of mesh ${mesh}`,
  });
  await printText(invocation, `${asText(answer['message'])}\n`, answer);

  async function serialOf(name: string): Promise<string> {
    const { serial } = await fetchCertificate(client, mesh, name);
    if (serial === undefined) throw new CliError('server', `certs distrust: ${name} has no certificate`);
    return serial;
  }
}
