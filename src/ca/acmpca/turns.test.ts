import { expect, it } from 'vitest';
import { createDrivenClock } from '../../testing/fakes/driven-clock.ts';
import { createTurns } from './turns.ts';

const never = new AbortController().signal;

function start(perSecond: number) {
  const clock = createDrivenClock();
  const turns = createTurns({ perSecond: () => perSecond, clock, random: () => 0 });
  const taken: number[] = [];
  const take = (signal = never) => turns.take(signal).then(() => void taken.push(clock.monotonic()));
  return { clock, turns, taken, take };
}

it('gives no more turns a second than there are', async () => {
  const { clock, taken, take } = start(10);
  for (let count = 0; count < 25; count += 1) void take();
  await clock.advance(1000);
  expect(taken.length).toBeLessThanOrEqual(13);
  await clock.advance(2000);
  expect(taken).toHaveLength(25);
});

it('stops all for a while when one is throttled, longer when it happens again', async () => {
  const { clock, turns, taken, take } = start(100);
  turns.throttled();
  turns.throttled();
  void take();
  await clock.advance(399);
  expect(taken).toEqual([]);
  await clock.advance(1);
  expect(taken).toEqual([400]);
  turns.throttled();
  void take();
  await clock.advance(1000);
  expect(taken[1]).toBe(1200);
  turns.answered();
  turns.throttled();
  void take();
  await clock.advance(1000);
  expect(taken[2]).toBeLessThanOrEqual(1800);
});

it('lets go who does not wait any more, without a turn lost', async () => {
  const { clock, taken, take } = start(1);
  void take();
  const gone = new AbortController();
  const left = take(gone.signal);
  void take();
  gone.abort();
  await left;
  await clock.advance(1000);
  expect(taken).toHaveLength(3);
});
