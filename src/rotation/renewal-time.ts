const DAY_MS = 86_400_000;

/** When the CA of a builtin backend is followed by the next one, epoch ms. */
export interface RenewalPlan {
  readonly startAt: number;
  /** The next CA issues from here on, whoever has not acknowledged it. */
  readonly goOnAt: number;
}

/**
 * The next CA is made when half of the life, 30 days, or two lives of a leaf are left, whatever is shorter of the first and the longer of the others; it
 * issues at the latest when a sixth of the life or 7 days are left. Source: SPIRE `pkg/server/ca/manager` (prepare and activate), where time alone decides;
 * here the acknowledgement of the proxies does. Pure.
 */
export function renewalPlan(ca: { notBefore: number; notAfter: number; leafLifetimeMs: number }): RenewalPlan {
  const life = ca.notAfter - ca.notBefore;
  return {
    startAt: ca.notAfter - Math.min(life / 2, Math.max(30 * DAY_MS, 2 * ca.leafLifetimeMs)),
    goOnAt: ca.notAfter - Math.min(life / 6, 7 * DAY_MS),
  };
}
