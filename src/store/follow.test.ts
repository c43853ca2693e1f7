import { expect, it } from 'vitest';
import type { Logger } from '../lib/log.ts';
import { createDrivenClock } from '../testing/fakes/driven-clock.ts';
import { followStore } from './follow.ts';
import type { Change, ResourceStore } from './store.ts';

const SYNCED: Change = { op: 'synced' };

it('lists again after a failure of the store or of who takes the changes, and ends with the signal', async () => {
  const clock = createDrivenClock();
  const stop = new AbortController();
  const warned: string[] = [];
  const log = { warn: (message: string) => warned.push(message) } as unknown as Logger;
  let lists = 0;
  const watch = async function* ({ signal }: { signal: AbortSignal }) {
    lists += 1;
    if (lists === 1) throw new Error('the store is away');
    yield [SYNCED];
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  };
  let taken = 0;
  const ended = followStore(
    { store: { watch } as unknown as ResourceStore, types: ['Mesh'], what: 'meshes', clock, log, signal: stop.signal },
    () => {
      taken += 1;
      if (taken === 1) throw new Error('not that one');
    },
  );
  await clock.advance(900);
  expect([lists, taken]).toEqual([1, 0]);
  await clock.advance(200);
  expect([lists, taken]).toEqual([2, 1]);
  await clock.advance(1000);
  expect([lists, taken]).toEqual([3, 2]);
  expect(warned).toEqual(Array(2).fill('watching meshes failed, trying again'));
  stop.abort();
  await ended;
  expect(clock.timers).toBe(0);
});
