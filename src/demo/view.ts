/** The live table and the closing lines. Pure. */
import { type ProxyView, rotationsOf } from './observe.ts';
import type { TrafficReport } from './traffic.ts';

export const HEADERS = [
  'PROXY',
  'SPIFFE ID',
  'SERIAL',
  'ISSUER',
  'EXPIRES IN',
  'ROTATIONS',
  'ACKED',
  'REQUESTS OK',
  'FAILED',
];

/** One row per proxy. Every request passes both proxies, so they share its numbers. */
export function tableRows(views: readonly ProxyView[], traffic: TrafficReport, now: number): string[][] {
  return views.map((view) => [
    view.name,
    view.certificate?.spiffeId ?? '-',
    view.certificate ? shortSerial(view.certificate.serial) : '-',
    view.insight?.issuer || '-',
    view.certificate ? secondsLeft(view.certificate.expiresAt, now) : '-',
    String(rotationsOf(view)),
    ackState(view),
    String(traffic.ok),
    String(traffic.failed),
  ]);
}

/** First half of a serial: enough to tell two apart. */
function shortSerial(serial: string): string {
  return serial.slice(0, 12);
}

function secondsLeft(expiresAt: number, now: number): string {
  const seconds = Math.ceil((expiresAt - now) / 1000);
  return seconds > 0 ? `${seconds}s` : 'EXPIRED';
}

/** `14/14`: of the answers sent to this proxy, so many were accepted. */
function ackState({ insight }: ProxyView): string {
  if (!insight) return '-';
  const refused = insight.rejected > 0 ? ` (${insight.rejected} REFUSED)` : '';
  return `${insight.acknowledged}/${insight.sent}${refused}`;
}

/** `spiffe://default/api: certificate a1b2c3 replaced by d4e5f6, valid for 20s`. */
export function rotationLine(view: ProxyView, now: number): string {
  const [before, after] = view.serials.slice(-2);
  const left = view.certificate ? secondsLeft(view.certificate.expiresAt, now) : '-';
  return `${view.name}: rotation ${rotationsOf(view)}, certificate ${shortSerial(before ?? '')} replaced by ${shortSerial(after ?? '')}, valid for ${left}`;
}

export function trafficLine(traffic: TrafficReport): string {
  return `web → api: ${traffic.ok} requests ok, ${traffic.failed} failed`;
}
