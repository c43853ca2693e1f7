import { asNumber, asText, fetchJson } from '../api/answers.ts';
import { type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { dateText } from '../output/cells.ts';
import { print } from '../output/print.ts';

/** `weft certs distrusted`. */
export async function run(invocation: Invocation): Promise<void> {
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const answer = await fetchJson(client, {
    method: 'GET',
    path: ['meshes', mesh, '_distrust'],
    doing: `list what mesh ${mesh} distrusts`,
  });
  const items = answer['items'] as readonly Readonly<Record<string, unknown>>[];
  await print(invocation, answer, () => ({
    headers: ['KIND', 'NAME', 'EFFECT', 'CERTIFICATES', 'SINCE', 'UNTIL', 'BY', 'REASON'],
    rows: items.map((item) => [
      asText(item['kind']),
      asText(item['name']),
      asText(item['effect']),
      String(asNumber(item['certificates'])),
      dateText(asText(item['at'])),
      item['until'] === undefined ? '-' : dateText(asText(item['until'])),
      asText(item['by']),
      asText(item['reason']) || '-',
    ]),
  }));
}
