import type { IssuanceFailure } from './identity.ts';
import type { Schedule } from './schedule.ts';

/** A launcher is given so long to come, or to come back, before people are told. Milliseconds. */
const PATIENCE_MS = 15_000;

/** Proxies that need a leaf and whose launcher, which makes the key, is not here. By record id. */
export interface AbsentLaunchers {
  /** This proxy can't get its leaf for now. Puts it into the schedule, to be looked at again when it has waited too long. `true`: it has, which is news. */
  waits(id: string, now: number): boolean;
  /** It needs none any more, or its launcher is here. */
  settled(id: string): void;
  /** Why it has none, once it has waited too long. */
  failure(id: string, now: number): IssuanceFailure | undefined;
}

export function createAbsentLaunchers(schedule: Pick<Schedule, 'set' | 'clear'>): AbsentLaunchers {
  const since = new Map<string, number>();
  const told = new Set<string>();
  return {
    waits(id, now) {
      const from = since.get(id) ?? now;
      since.set(id, from);
      if (now < from + PATIENCE_MS) {
        schedule.set(id, from + PATIENCE_MS);
        return false;
      }
      schedule.clear(id);
      const isNews = !told.has(id);
      told.add(id);
      return isNews;
    },
    settled(id) {
      since.delete(id);
      told.delete(id);
    },
    failure(id, now) {
      const from = since.get(id);
      if (from === undefined || now < from + PATIENCE_MS) return undefined;
      const message =
        'its launcher makes its key, and is not connected to this control plane: see the log of its weft dp run; with several control planes behind one address it tries until it meets this one';
      return { message, at: from, since: from, attempts: 0, nextAttemptAt: from };
    },
  };
}
