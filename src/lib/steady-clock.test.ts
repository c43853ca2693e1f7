import { beforeEach, describe, expect, it } from 'vitest';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { type ClockStep, createSteadyClock, type SteadyClock } from './steady-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * 24 * HOUR;

let wall: DrivenClock;
let steady: SteadyClock;
let steps: ClockStep[];
/** How far the steady clock is from the time that has really passed. */
let off: () => number;
beforeEach(() => {
  wall = createDrivenClock();
  steps = [];
  const start = wall.now();
  steady = createSteadyClock(wall, { uptimeMs: wall.uptime, stepped: (step) => void steps.push(step) });
  off = () => steady.now() - (start + wall.uptime());
});

/** A look at the clock now and then, as the schedule of renewals does. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= MINUTE) {
    await wall.advance(Math.min(left, MINUTE));
    steady.now();
  }
}

describe('a clock of the machine that', () => {
  it('goes right is followed, drift and small steps of NTP as well', async () => {
    await pass(HOUR);
    for (const ms of [20_000, -15_000, 25_000]) {
      wall.step(ms);
      await pass(MINUTE);
      expect(steady.now()).toBe(wall.now());
    }
    expect(steps).toEqual([]);
  });

  it.each([-10 * MINUTE, -HOUR, -YEAR])('is put back by %d ms is not followed', async (by) => {
    wall.step(by);
    await pass(3 * HOUR);
    expect([off(), steps]).toEqual([0, [{ byMs: by, believed: false }]]);
    expect(steady.earliest()).toBe(wall.now());
    wall.step(-by);
    await pass(MINUTE);
    expect(steady.now()).toBe(wall.now());
  });

  it.each([10 * MINUTE, HOUR])(
    'is put forward by %d ms is followed when it has stood so for five minutes',
    async (by) => {
      wall.step(by);
      await pass(4 * MINUTE);
      expect(off()).toBe(0);
      await pass(3 * MINUTE);
      expect(off()).toBe(by);
      expect(steps).toEqual([
        { byMs: by, believed: false },
        { byMs: by, believed: true },
      ]);
    },
  );

  it('jumps forward for a moment is not followed', async () => {
    wall.step(YEAR);
    await pass(2 * MINUTE);
    wall.step(-YEAR);
    await pass(HOUR);
    expect(off()).toBe(0);
  });

  it('was wrong for an hour and is put right is followed at once', async () => {
    wall.step(YEAR);
    await pass(HOUR);
    expect(off()).toBe(YEAR);
    wall.step(-YEAR);
    await pass(MINUTE);
    expect(off()).toBe(0);
  });

  it('went on while the host slept is followed at once', async () => {
    await pass(HOUR);
    wall.sleep(5 * HOUR);
    await wall.advance(1000);
    expect([steady.now(), off(), steps]).toEqual([wall.now(), 0, []]);
  });
});
