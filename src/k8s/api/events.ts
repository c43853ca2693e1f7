import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { KubeClient } from './client.ts';
import { EVENT } from './core-kinds.ts';
import type { KubeObject, ObjectMeta } from './object.ts';

/** What an Event is about. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  /** Absent for cluster-scoped objects: their Events live in `default`, as everybody's do. */
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
}

/**
 * Tells people, in `kubectl describe` and `kubectl get events`, what happened to an object. Never waits and never fails: an Event that cannot
 * be written is lost. The same sentence about the same object again becomes a count on its first Event, written at most once a minute.
 */
export interface EventRecorder {
  /** `type` is for filters, `reason` a CamelCase word, `message` one sentence for a person (1024 characters count). */
  event(about: ObjectRef, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Resolves when everything under way is written or lost. */
  close(): Promise<void>;
}

/** Where a repeated sentence is written again. Milliseconds. */
const REPEAT_MS = 60_000;
/** After this a sentence is told as a new Event; the API server forgets Events after an hour. Milliseconds. */
const FORGET_MS = 30 * 60_000;
/** Different sentences about one object: so many at once, then one more each `REFILL_MS`. Source: client-go's spam filter is 25 and 5 minutes. */
const BURST = 25;
const REFILL_MS = 5 * 60_000;
const REMEMBERED = 4096;
const LONGEST_MESSAGE = 1024;

interface Told {
  readonly name: string;
  readonly firstMs: number;
  count: number;
  writtenMs: number;
  created: Promise<boolean>;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** One per process. `component` is shown as the source of the Events. */
export function createEventRecorder(options: {
  readonly client: Pick<KubeClient, 'create' | 'patch'>;
  readonly component: string;
  readonly clock: Clock;
  readonly log: Logger;
}): EventRecorder {
  const { client, component, clock, log } = options;
  const told = new LRUCache<string, Told>({ max: REMEMBERED });
  const buckets = new LRUCache<string, Bucket>({ max: REMEMBERED });
  const underWay = new Set<Promise<unknown>>();

  function mayTell(object: string, now: number): boolean {
    const bucket = buckets.get(object) ?? { tokens: BURST, atMs: now };
    const refill = Math.floor((now - bucket.atMs) / REFILL_MS);
    const tokens = Math.min(BURST, bucket.tokens + refill);
    const atMs = bucket.atMs + refill * REFILL_MS;
    buckets.set(object, { tokens: Math.max(0, tokens - 1), atMs });
    return tokens > 0;
  }

  function follow(work: Promise<unknown>): void {
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  async function create(event: KubeObject): Promise<boolean> {
    try {
      await client.create(EVENT, event);
      return true;
    } catch (error) {
      log.debug('an Event was not written', { event: event.metadata.name, error });
      return false;
    }
  }

  async function repeat(namespace: string, sentence: Told): Promise<void> {
    if (!(await sentence.created)) return;
    const change = { count: sentence.count, lastTimestamp: new Date(sentence.writtenMs).toISOString() };
    try {
      await client.patch(EVENT, { namespace, name: sentence.name }, change, { as: 'merge' });
    } catch (error) {
      log.debug('an Event was not counted up', { event: sentence.name, error });
    }
  }

  return {
    event(about, type, reason, message) {
      const now = clock.now();
      const namespace = about.namespace ?? 'default';
      const object = `${about.kind}/${namespace}/${about.name}/${about.uid ?? ''}`;
      const sentenceKey = `${object}/${type}/${reason}/${message}`;
      const known = told.get(sentenceKey);
      if (known !== undefined && now - known.firstMs < FORGET_MS) {
        known.count += 1;
        if (now - known.writtenMs < REPEAT_MS) return;
        known.writtenMs = now;
        follow(repeat(namespace, known));
        return;
      }
      if (!mayTell(object, now)) return;
      const time = new Date(now).toISOString();
      const metadata: ObjectMeta = { name: eventName(about.name, sentenceKey, now), namespace };
      const event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata,
        involvedObject: { ...about, ...(about.namespace === undefined ? {} : { namespace }) },
        type,
        reason,
        message: message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE - 3)}...` : message,
        source: { component },
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
        reportingComponent: component,
        reportingInstance: '',
      };
      const created = create(event);
      told.set(sentenceKey, { name: metadata.name, firstMs: now, count: 1, writtenMs: now, created });
      follow(created);
    },
    async close() {
      await Promise.allSettled(underWay);
    },
  };
}

/** As client-go names them, `<object>.<hex>`, but the same sentence at the same time has the same name on every replica. */
function eventName(object: string, sentence: string, now: number): string {
  const hex = createHash('sha256').update(`${sentence}/${now}`).digest('hex').slice(0, 16);
  return `${object.slice(0, 200)}.${hex}`;
}
