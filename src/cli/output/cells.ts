/** Cells of tables, in kumactl's words. Source: Kuma 2.11-2.14 `kumactl` output. */

/** Age in its largest unit: `5s`, `3m`, `2h`, `9d`, `1y`. Clocks that differ by a second are forgiven; a time further ahead is `never`. */
export function ageText(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return 'never';
  if (seconds < 60) return `${Math.max(0, seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h`;
  const days = Math.floor(hours / 24);
  return days < 365 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

/** Age of an RFC 3339 time; `never` when there is none. */
export function agoText(time: unknown, now: number): string {
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(at) ? 'never' : ageText(now - at);
}

/** `2026-11-24 04:15:31` in UTC; `-` when there is none. */
export function dateText(time: unknown): string {
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(at) ? '-' : new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

/** `kuma.io/service=web version=v1,v2`: sorted tags, the values of each sorted. */
export function tagsText(tags: readonly Readonly<Record<string, unknown>>[]): string {
  const values = new Map<string, Set<string>>();
  for (const one of tags) {
    for (const [tag, value] of Object.entries(one)) values.set(tag, (values.get(tag) ?? new Set()).add(String(value)));
  }
  return [...values.keys()]
    .sort()
    .map((tag) => `${tag}=${[...values.get(tag)!].sort().join(',')}`)
    .join(' ');
}

/** Time left in its two largest units: `3d 4h`, `17h 5m`, `40s`; `ended` when there is none, `-` when that is not known. */
export function leftText(seconds: number | undefined): string {
  if (seconds === undefined) return '-';
  if (seconds <= 0) return 'ended';
  const [d, h, m] = [86_400, 3600, 60];
  const pair = (large: number, small: number, units: string) => {
    const rest = Math.floor((seconds % large) / small);
    return `${Math.floor(seconds / large)}${units[0]}${rest === 0 ? '' : ` ${rest}${units[1]}`}`;
  };
  if (seconds >= d) return pair(d, h, 'dh');
  if (seconds >= h) return pair(h, m, 'hm');
  return seconds >= m ? pair(m, 1, 'ms') : `${Math.round(seconds)}s`;
}
