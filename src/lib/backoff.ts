/**
 * Delay before attempt `failures + 1`: doubles from `baseMs` to `maxMs`, then a uniform share in [1 - jitter, 1] of it.
 * `random` is in [0, 1). `failures` of 0 gives 0.
 */
export function backoffMs(
  failures: number,
  options: { baseMs: number; maxMs: number; jitter: number; random: number },
): number {
  if (failures <= 0) return 0;
  const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(failures - 1, 40));
  return full * (1 - options.jitter * options.random);
}
