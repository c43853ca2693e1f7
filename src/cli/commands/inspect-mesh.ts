import { asJson, asList, asText, fetchJson, type Json } from '../api/answers.ts';
import type { Invocation } from '../command.ts';
import { openClient } from '../contexts.ts';
import { agoText, dateText, leftText } from '../output/cells.ts';
import { formatOf, print } from '../output/print.ts';
import { rotationText } from '../output/rotation.ts';
import { tableText } from '../output/table.ts';

/** `weft inspect mesh NAME`: its CA backends, what is wrong with them and how to mend it, and the CAs its proxies trust. */
export async function inspectMesh(invocation: Invocation, name: string): Promise<void> {
  const client = await openClient(invocation);
  const path = ['meshes', name, '_mtls'];
  const state = await fetchJson(client, { method: 'GET', path, doing: `inspect mesh ${name}` });
  const backends = asList(state['backends']);
  const now = invocation.io.now();
  await print(invocation, state, () => ({
    headers: ['BACKEND', 'TYPE', 'ISSUES', 'STATE', 'REASON', 'SINCE'],
    rows: backends.map((backend) => [
      asText(backend['name']),
      asText(backend['type']),
      backend['enabled'] === true ? 'yes' : 'no',
      asText(backend['state']),
      asText(backend['reason']),
      agoText(backend['since'], now),
    ]),
  }));
  if (formatOf(invocation) !== 'table') return;
  if (backends.length === 0) invocation.io.stdout('\nmTLS is off.\n');
  for (const backend of backends.filter((one) => one['state'] !== 'Ready')) invocation.io.stdout(explain(backend));
  for (const backend of backends) invocation.io.stdout(queueText(backend));
  const rotation = asJson(state['rotation']);
  if (rotation['ended'] === false) invocation.io.stdout(`\n${rotationText({ mesh: name, ...rotation }, now)}`);
  const roots = backends.flatMap((backend) => asList(backend['roots']).map((root) => rootRow(backend, root)));
  if (roots.length > 0) {
    const headers = ['TRUSTED CA', 'BACKEND', 'CURRENT', 'EXPIRES', 'SHA-256'];
    invocation.io.stdout(`\n${tableText(headers, roots)}`);
  }
}

function explain(backend: Json): string {
  const fix = asText(backend['fix']);
  return `\n${asText(backend['message'])}\n${fix === '' ? '' : `\n${fix}`}`;
}

/** How many wait for a certificate of this backend, and how long that may take; empty when nobody does. */
function queueText(backend: Json): string {
  const waiting = Number(backend['waiting'] ?? 0);
  if (waiting === 0) return '';
  const rate = Number(backend['ratePerSecond'] ?? 0);
  const estimate = rate > 0 ? `, ${rate} a second: about ${leftText(Math.max(1, waiting / rate))}` : '';
  return `\n${asText(backend['name'])}: ${waiting} wait for a certificate${estimate}\n`;
}

function rootRow(backend: Json, root: Json): readonly string[] {
  return [
    asText(root['subject']) || '-',
    asText(backend['name']),
    root['current'] === true ? 'yes' : 'no, until its last certificate is gone',
    dateText(root['notAfter']),
    asText(root['fingerprint']).replaceAll(':', '').slice(0, 16).toLowerCase(),
  ];
}
