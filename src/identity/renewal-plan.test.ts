import { describe, expect, it } from 'vitest';
import { createRenewalPlan, type RenewalPlan } from './renewal-plan.ts';

const MINUTE = 60_000;
const LIFE = 10 * MINUTE;

/** Numbers as even as those of Math.random, the same in every run. */
function createRandom(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Leaves issued one after the other; the shares of their life after which each is renewed. */
function issue(plan: RenewalPlan, count: number, { life = LIFE, everyMs = 40, start = 0 } = {}): number[] {
  return Array.from({ length: count }, (_, index) => {
    const issuedAt = start + index * everyMs;
    const renewAt = plan.choose('b', issuedAt, issuedAt + life);
    plan.add('b', { issuedAt, renewAt, notAfter: issuedAt + life });
    return (renewAt - issuedAt) / life;
  });
}

describe('renewals of leaves', () => {
  it('are between 70 and 80 % of the life where that is even enough', () => {
    for (const shares of [
      issue(createRenewalPlan(createRandom()), 50),
      issue(createRenewalPlan(createRandom()), 1000, { life: 24 * 60 * MINUTE }),
    ]) {
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.69);
      expect(Math.max(...shares)).toBeLessThanOrEqual(0.8);
    }
  });

  it('that were issued together are spread over the life before, never later than 80 %', () => {
    const shares = issue(createRenewalPlan(createRandom()), 1000);
    expect(Math.max(...shares)).toBeLessThanOrEqual(0.8);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.1);
    // Not more than is needed: the mean share is half of the life.
    expect(shares.reduce((sum, share) => sum + share, 0) / 1000).toBeGreaterThan(0.48);
  });

  it('stay even, life after life', () => {
    const plan = createRenewalPlan(createRandom());
    const leaves: { issuedAt: number; renewAt: number; notAfter: number }[] = [];
    for (let index = 0; index < 1000; index += 1) {
      const renewAt = plan.choose('b', 0, LIFE);
      leaves.push({ issuedAt: 0, renewAt, notAfter: LIFE });
      plan.add('b', leaves.at(-1)!);
    }
    const perWindow = new Map<number, number>();
    for (;;) {
      leaves.sort((a, b) => b.renewAt - a.renewAt);
      const due = leaves.pop()!;
      const now = due.renewAt;
      if (now > 6 * LIFE) break;
      perWindow.set(Math.floor(now / 10_000), (perWindow.get(Math.floor(now / 10_000)) ?? 0) + 1);
      plan.remove('b', due);
      const renewed = { issuedAt: now, renewAt: plan.choose('b', now, now + LIFE), notAfter: now + LIFE };
      plan.add('b', renewed);
      leaves.push(renewed);
    }
    const late = [...perWindow].filter(([window]) => window >= 60).map(([, count]) => count);
    const issued = late.reduce((sum, count) => sum + count, 0);
    const mean = issued / (5 * 60);
    // Hardly more leaves than by the usual window alone.
    expect(issued / (5 * (1000 / 0.75))).toBeLessThan(1.05);
    expect(Math.max(...late) / mean).toBeLessThan(2);
  });

  it('of other backends, and of another life, are another matter', () => {
    const plan = createRenewalPlan(createRandom());
    issue(plan, 1000);
    const renewAt = plan.choose('other', 0, LIFE);
    expect(renewAt).toBeGreaterThanOrEqual(0.7 * LIFE);
    expect(issue(plan, 1, { life: 24 * 60 * MINUTE })[0]).toBeGreaterThanOrEqual(0.7);
  });
});
