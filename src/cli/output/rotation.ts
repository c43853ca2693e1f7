import { asJson, asList, asNumber, asText, type Json } from '../api/answers.ts';
import { agoText } from './cells.ts';
import { tableText } from './table.ts';

/** Columns of the progress of a rotation: field of the API and heading. */
const COUNTS = [
  ['proxies', 'PROXIES'],
  ['connected', 'CONNECTED'],
  ['offline', 'OFFLINE'],
  ['trusting', 'TRUST IT'],
  ['renewed', 'HAVE IT'],
] as const;

/** A rotation as the API describes it: a heading, a line for each service, and what it waits for. `now`: epoch ms. Ends with a newline. */
export function rotationText(rotation: Json, now: number): string {
  const progress = asJson(rotation['progress']);
  const services = asList(progress['services']);
  const rows = services.map((one) => [asText(one['service']), ...counts(one)]);
  const total = services.length > 1 ? [['all', ...counts(asJson(progress['total']))]] : [];
  const table =
    rows.length === 0
      ? ''
      : `\n${tableText(['SERVICE', ...COUNTS.map(([, heading]) => heading)], [...rows, ...total])}`;
  return `${heading(rotation)}, for ${agoText(rotation['phaseSince'], now)}\n${table}${reasonText(rotation)}`;
}

/** The same in one line, for logs: it differs when something has moved on. */
export function rotationLine(rotation: Json): string {
  const total = asJson(asJson(rotation['progress'])['total']);
  const of = asNumber(total['connected']);
  const waits = asText(rotation['message']);
  return `${heading(rotation)}: of ${of} connected ${of === 1 ? 'proxy' : 'proxies'} ${asNumber(total['trusting'])} trust it and ${asNumber(total['renewed'])} have it${waits === '' ? '' : `; ${waits}`}`;
}

function heading(rotation: Json): string {
  const [mesh, from, to, phase] = ['mesh', 'from', 'to', 'phase'].map((field) => asText(rotation[field!]));
  const what = rotation['kind'] === 'renew' ? `new CA of ${to}` : `${from} -> ${to}`;
  return `mesh ${mesh}, ${what}: ${phase}`;
}

function counts(of: Json): readonly string[] {
  return COUNTS.map(([field]) => String(asNumber(of[field])));
}

function reasonText(rotation: Json): string {
  const [message, fix] = [asText(rotation['message']), asText(rotation['fix'])];
  if (message === '') return '';
  const proxies = Array.isArray(rotation['waitingFor']) ? rotation['waitingFor'].map(String) : [];
  const names = proxies.length === 0 ? '' : ` (${proxies.join(', ')})`;
  return `\n${message}${names}\n${fix === '' ? '' : `\n${fix.trimEnd()}\n`}`;
}

/** Lines that are longer than `width` characters, broken between words; the screen cuts what is too long. */
export function wrapText(text: string, width: number): string {
  const pattern = new RegExp(`(?![^\\n]{1,${width}}$)([^\\n]{1,${width}})[ ]`, 'gm');
  return text.replaceAll(pattern, '$1\n');
}
