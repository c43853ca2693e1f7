import { describe, expect, it } from 'vitest';
import { createRefusals } from './refusals.ts';

const PROXIES = ['a', 'b', 'c'];

describe('createRefusals', () => {
  it('lets one of those refused ask after each pause, and whoever was never refused at any time', () => {
    const refusals = createRefusals(() => 0);
    for (const proxy of PROXIES) expect(refusals.failed(proxy, 1000)).toBe(11_000);
    expect(PROXIES.map((proxy) => refusals.turn(proxy, 5000) > 5000)).toEqual([true, true, true]);
    expect(refusals.turn('other', 5000)).toBe(5000);
    expect(PROXIES.map((proxy) => refusals.turn(proxy, 11_000) > 11_000)).toEqual([false, true, true]);
    expect(refusals.turn('a', 12_000)).toBe(12_000);
    expect(refusals.failed('a', 12_000)).toBe(32_000);
    expect(refusals.turn('b', 32_000)).toBe(32_000);
  });

  it('lengthens the pause up to three minutes', () => {
    const refusals = createRefusals(() => 0);
    let now = 0;
    const pauses = Array.from({ length: 7 }, () => {
      const next = refusals.failed('a', now);
      const pause = next - now;
      now = refusals.turn('a', next);
      return pause;
    });
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 180_000, 180_000]);
  });

  it('gives the turn of one that is gone to the next', () => {
    const refusals = createRefusals(() => 0);
    for (const proxy of PROXIES) refusals.failed(proxy, 0);
    expect(refusals.turn('a', 20_000)).toBe(20_000);
    expect(refusals.turn('b', 20_000)).toBeGreaterThan(20_000);
    refusals.gone('a');
    expect(refusals.turn('b', 20_000)).toBe(20_000);
  });

  it('frees all with the first that gets its leaf; the leaf of another one only brings the next turn forward', () => {
    const refusals = createRefusals(() => 0);
    for (const proxy of PROXIES) refusals.failed(proxy, 0);
    expect(refusals.succeeded('other')).toBe(false);
    refusals.hurry(1000);
    expect(refusals.turn('b', 1000)).toBe(1000);
    expect(refusals.succeeded('b')).toBe(true);
    expect(PROXIES.map((proxy) => [refusals.has(proxy), refusals.turn(proxy, 1001)])).toEqual(
      PROXIES.map(() => [false, 1001]),
    );
  });
});
