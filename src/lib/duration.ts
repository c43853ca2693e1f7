const UNIT_MS: Record<string, number> = {
  y: 31_536_000_000,
  w: 604_800_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
};

/**
 * Milliseconds of a Kuma duration: one number and one unit (`24h`, `30d`, `500ms`, a year is 365 days), or the bare `0`.
 * `undefined` when the text has another form; `1h30m` has. Source: Kuma 2.11 `^([0-9]+)(y|w|d|h|m|s|ms)$`.
 */
export function parseKumaDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^([0-9]+)(y|w|d|h|m|s|ms)$/.exec(text);
  if (!match) return undefined;
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

const GO_UNIT_MS: Record<string, number> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ns: 1e-6,
};

/** Milliseconds of a Go duration (`1h30m`, `1.5s`, `-2m`, `0`); `undefined` when malformed. Source: Go `time.ParseDuration`. */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)(.*)$/s.exec(text)!;
  const body = match[2]!;
  if (body === '0') return 0;
  if (!/^(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:h|ms|m|s|us|µs|μs|ns))+$/.test(body)) return undefined;
  let total = 0;
  for (const [, number, unit] of body.matchAll(/([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|m|s|us|µs|μs|ns)/g)) {
    total += Number(number) * GO_UNIT_MS[unit!]!;
  }
  return match[1] === '-' ? -total : total;
}
