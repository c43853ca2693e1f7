import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../lib/clock.ts';
import { keyOf, keyText, type Resource, type ResourceKey } from '../resources/resource.ts';
import { type Change, type ListQuery, type ResourceStore, StoreError, type Write } from '../store/store.ts';

/** A store under test, on empty ground. */
export interface StoreUnderTest {
  readonly store: ResourceStore;
  /** Called after the test; the store may be closed already. */
  cleanup(): Promise<void>;
}

/** A clock whose `now()` is set by hand; timers and `monotonic` are real. */
export interface SettableClock extends Clock {
  set(epochMs: number): void;
}

function createSettableClock(real: Clock): SettableClock {
  let now = Date.UTC(2026, 0, 1);
  return {
    now: () => now,
    set(epochMs) {
      now = epochMs;
    },
    monotonic: () => real.monotonic(),
    after: (delayMs, run) => real.after(delayMs, run),
  };
}

/** A Dataplane of the test, as a caller would hand it in. */
export function draft(name: string, spec: unknown = { value: 0 }, options: Partial<DraftOptions> = {}): Resource {
  const { type = 'Dataplane', mesh = 'default', labels = {}, status } = options;
  const meta = { mesh, name, labels, creationTime: '', modificationTime: '', version: '' };
  return status === undefined ? { type, meta, spec } : { type, meta, spec, status };
}

interface DraftOptions {
  readonly type: string;
  readonly mesh: string;
  readonly labels: Record<string, string>;
  readonly status: unknown;
}

export function dataplaneKey(name: string, mesh = 'default'): ResourceKey {
  return { type: 'Dataplane', mesh, name };
}

/** The code of the `StoreError` that `work` rejects with; fails the test for anything else. */
export async function errorCode(work: Promise<unknown>): Promise<string> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`expected a StoreError, got ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof StoreError)) throw outcome.error;
  return outcome.error.code;
}

/** Reads a watch into a picture of the store, as a watcher would. */
export interface Replay {
  readonly state: ReadonlyMap<string, Resource>;
  /** Every batch so far. */
  readonly batches: readonly (readonly Change[])[];
  /** Number of `synced` so far. */
  synced(): number;
  /** Resolves when `test` holds after a batch; rejects when the watch ended or 10 s passed. */
  until(test: () => boolean): Promise<void>;
  /** Resolves when the watch has ended. */
  readonly ended: Promise<void>;
}

export function replay(watch: AsyncIterable<readonly Change[]>, pause?: () => Promise<void>): Replay {
  const state = new Map<string, Resource>();
  const batches: (readonly Change[])[] = [];
  const waiting = new Set<() => void>();
  let synced = 0;
  let over = false;
  const ended = (async () => {
    for await (const batch of watch) {
      batches.push(batch);
      for (const change of batch) {
        if (change.op === 'synced') synced += 1;
        else if (change.op === 'delete') state.delete(keyText(change.key));
        else state.set(keyText(keyOf(change.resource)), change.resource);
      }
      for (const check of waiting) check();
      await pause?.();
    }
    over = true;
    for (const check of waiting) check();
  })();
  return {
    state,
    batches,
    ended,
    synced: () => synced,
    async until(test) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (test()) resolve();
        else if (over) reject(new Error('the watch ended'));
      };
      const timer = setTimeout(() => reject(new Error('the watch did not get there in 10 s')), 10_000);
      waiting.add(check);
      try {
        check();
        await promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(check);
      }
    },
  };
}

/** Everything of these types in the store, by key text. */
export async function everything(store: ResourceStore, types: readonly string[]): Promise<Map<string, Resource>> {
  const pages = await Promise.all(types.map((type) => store.list({ type })));
  return new Map(pages.flatMap((page) => page.items.map((item) => [keyText(keyOf(item)), item])));
}

/** One write of a generated history. */
interface Step {
  readonly op: Write['op'];
  readonly name: string;
  readonly mesh: string;
  readonly value: number;
}

/** Labels without the one that says the mesh: an engine may keep the mesh there. */
function ownLabels({ meta }: Resource): Readonly<Record<string, string>> {
  const { 'kuma.io/mesh': _mesh, ...labels } = meta.labels;
  return labels;
}

function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen);
}

/** What an engine may be unable to do, because of what it stands on. */
export interface StoreCapabilities {
  /** Creation and modification times are of the clock it was given; else of a server. */
  readonly ownClock: boolean;
  /** A transaction is seen wholly or not at all; else write by write, each with a version of its own. */
  readonly transactions: boolean;
  /** A watch shows changes of different keys in the order of their versions; else only those of one key. */
  readonly commitOrder: boolean;
  /** Any text is a name or a label value, and each mesh has names of its own; else DNS names, label values as in Kubernetes, one space of names. */
  readonly freeNames: boolean;
  /** Members of a JSON object stay in the order they were written in, and may be called `__proto__`. */
  readonly exactJson: boolean;
}

const EVERYTHING: StoreCapabilities = {
  ownClock: true,
  transactions: true,
  commitOrder: true,
  freeNames: true,
  exactJson: true,
};

/**
 * What every engine must do; run it from the engine's own test file. Each test gets a store of its own from `makeStore`. An engine that cannot do everything
 * says so in `capabilities`, and is asked for the rest.
 */
export function storeContract(
  name: string,
  makeStore: (clock: Clock) => Promise<StoreUnderTest>,
  real: Clock,
  capabilities: StoreCapabilities = EVERYTHING,
): void {
  const { ownClock, transactions, commitOrder, freeNames, exactJson } = capabilities;
  const time = (iso: string): unknown => (ownClock ? iso : expect.stringMatching(/^20\d\d-.*Z$/));
  describe(`${name} store contract`, () => {
    let clock: SettableClock;
    let store: ResourceStore;
    let cleanup: () => Promise<void>;
    let watching: AbortController;

    beforeEach(async () => {
      clock = createSettableClock(real);
      ({ store, cleanup } = await makeStore(clock));
      watching = new AbortController();
    });

    afterEach(async () => {
      watching.abort();
      await cleanup();
    });

    const watch = (types?: readonly string[]) =>
      store.watch({ signal: watching.signal, ...(types !== undefined && { types }) });
    const names = async (query: Omit<ListQuery, 'type'>) =>
      (await store.list({ type: 'Dataplane', ...query })).items.map((item) => item.meta.name);

    describe('single resources', () => {
      it('gives back what was created, stamped and frozen', async () => {
        const spec = { networking: { address: '127.0.0.1', inbound: [{ port: 80 }] } };
        const made = await store.create(draft('web', spec, { labels: { a: 'b' }, status: { ok: true } }));
        expect({ ...made, meta: { ...made.meta, labels: ownLabels(made) } }).toEqual({
          type: 'Dataplane',
          meta: {
            mesh: 'default',
            name: 'web',
            labels: { a: 'b' },
            creationTime: time('2026-01-01T00:00:00.000Z'),
            modificationTime: time('2026-01-01T00:00:00.000Z'),
            version: expect.stringMatching(/./),
          },
          spec,
          status: { ok: true },
        });
        expect(await store.get(dataplaneKey('web'))).toEqual(made);
        expect(isDeeplyFrozen(made)).toBe(true);
        expect(isDeeplyFrozen(await store.get(dataplaneKey('web')))).toBe(true);
        spec.networking.address = 'changed by its owner';
        expect(await store.get(dataplaneKey('web'))).toEqual(made);
      });

      it('gives undefined for what is not there', async () => {
        expect(await store.get(dataplaneKey('web'))).toBeUndefined();
        expect(await store.get(dataplaneKey('web\u0000'))).toBeUndefined();
        await store.create(draft('web'));
        expect(await store.get(dataplaneKey('web', 'other'))).toBeUndefined();
        expect(await store.get({ type: 'DataplaneInsight', mesh: 'default', name: 'web' })).toBeUndefined();
      });

      it('keeps global kinds under the empty mesh', async () => {
        const zone = await store.create(draft('east', { enabled: true }, { type: 'Zone', mesh: '' }));
        expect(await store.get({ type: 'Zone', mesh: '', name: 'east' })).toEqual(zone);
      });

      it('keeps JSON as it is: nested, unicode, odd names, null, no undefined members', async () => {
        const deep = exactJson ? '{"__proto__":{"x":1}}' : '{"proto":{"x":1}}';
        const spec = JSON.parse(
          `{"a":[1,2.5,-1e21,null,true,[],{}],"":"empty","ü😀":"\\u0000\\"\\\\ ","deep":${deep},"n":null}`,
        );
        await store.create(draft('odd', { ...spec, gone: undefined }));
        const got = await store.get(dataplaneKey('odd'));
        if (exactJson) expect(JSON.stringify(got?.spec)).toBe(JSON.stringify(spec));
        else expect(got?.spec).toEqual(spec);
      });

      it('refuses a second create', async () => {
        const first = await store.create(draft('web', { value: 1 }));
        expect(await errorCode(store.create(draft('web', { value: 2 })))).toBe('already-exists');
        expect(await store.get(dataplaneKey('web'))).toEqual(first);
      });

      it('replaces spec, labels and status on update, and keeps the creation time', async () => {
        const made = await store.create(draft('web', { value: 1 }, { labels: { a: 'b' }, status: { ok: true } }));
        clock.set(Date.UTC(2026, 0, 2));
        const updated = await store.update(draft('web', { value: 2 }, { labels: { c: 'd' } }), made.meta.version);
        expect(updated.spec).toEqual({ value: 2 });
        expect(ownLabels(updated)).toEqual({ c: 'd' });
        expect('status' in updated).toBe(false);
        expect(updated.meta.creationTime).toEqual(made.meta.creationTime);
        expect(updated.meta.modificationTime).toEqual(time('2026-01-02T00:00:00.000Z'));
        expect(BigInt(updated.meta.version)).toBeGreaterThan(BigInt(made.meta.version));
        expect(await store.get(dataplaneKey('web'))).toEqual(updated);
      });

      it('refuses an update of what is missing, or with an old version', async () => {
        expect(await errorCode(store.update(draft('web')))).toBe('not-found');
        const made = await store.create(draft('web', { value: 1 }));
        const second = await store.update(draft('web', { value: 2 }));
        expect(await errorCode(store.update(draft('web', { value: 3 }), made.meta.version))).toBe('conflict');
        expect(await store.get(dataplaneKey('web'))).toEqual(second);
      });

      it('deletes, and refuses to delete what is missing or has another version', async () => {
        expect(await errorCode(store.delete(dataplaneKey('web')))).toBe('not-found');
        const made = await store.create(draft('web'));
        const second = await store.update(draft('web', { value: 2 }));
        expect(await errorCode(store.delete(dataplaneKey('web'), made.meta.version))).toBe('conflict');
        await store.delete(dataplaneKey('web'), second.meta.version);
        expect(await store.get(dataplaneKey('web'))).toBeUndefined();
      });

      it('never gives an old version to a new life of a name', async () => {
        const first = await store.create(draft('web'));
        await store.delete(dataplaneKey('web'));
        const second = await store.create(draft('web'));
        expect(BigInt(second.meta.version)).toBeGreaterThan(BigInt(first.meta.version));
        expect(await errorCode(store.update(draft('web'), first.meta.version))).toBe('conflict');
      });

      it('names the key in the error', async () => {
        const error = await store.update(draft('web')).catch((caught: unknown) => caught);
        expect(error).toMatchObject({ code: 'not-found', key: dataplaneKey('web') });
      });
    });

    describe('concurrency', () => {
      it('loses no update of writers that read, change and write with a version', async () => {
        await store.create(draft('counter', { value: 0 }));
        const increment = async () => {
          for (;;) {
            const current = await store.get(dataplaneKey('counter'));
            const { value } = current!.spec as { value: number };
            try {
              await store.update(draft('counter', { value: value + 1 }), current!.meta.version);
              return;
            } catch (error) {
              if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
            }
          }
        };
        await Promise.all(Array.from({ length: 8 }, () => increment().then(increment).then(increment)));
        expect((await store.get(dataplaneKey('counter')))?.spec).toEqual({ value: 24 });
      });

      it('lets exactly one of many creators win', async () => {
        const outcomes = await Promise.allSettled(
          Array.from({ length: 20 }, (_, value) => store.create(draft('web', { value }))),
        );
        const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
        expect(won).toHaveLength(1);
        expect(await store.get(dataplaneKey('web'))).toEqual(won[0]?.value);
      });
    });

    describe('transactions', () => {
      it('does everything in order and returns what was written', async () => {
        await store.create(draft('old'));
        const written = await store.transact([
          { op: 'create', resource: draft('a', { value: 1 }) },
          { op: 'update', resource: draft('a', { value: 2 }) },
          { op: 'delete', key: dataplaneKey('old') },
          { op: 'put', resource: draft('b', { value: 3 }) },
          { op: 'create', resource: draft('old', { value: 4 }) },
        ]);
        expect(written.map((one) => [one.meta.name, one.spec])).toEqual([
          ['a', { value: transactions ? 1 : 2 }],
          ['a', { value: 2 }],
          ['b', { value: 3 }],
          ['old', { value: 4 }],
        ]);
        const versions = written.map((one) => BigInt(one.meta.version));
        if (transactions) {
          expect(versions).toEqual(versions.toSorted((a, b) => Number(a - b)));
          expect(new Set(versions).size).toBe(4);
        }
        expect((await store.get(dataplaneKey('a')))?.spec).toEqual({ value: 2 });
        expect((await store.get(dataplaneKey('old')))?.spec).toEqual({ value: 4 });
      });

      it('does nothing when one write may not be', async () => {
        const kept = await store.create(draft('kept', { value: 1 }));
        const before = await everything(store, ['Dataplane']);
        const bad: readonly [Write, string][] = [
          [{ op: 'create', resource: draft('kept') }, 'already-exists'],
          [{ op: 'create', resource: draft('new-1') }, 'already-exists'],
          [{ op: 'update', resource: draft('missing') }, 'not-found'],
          [{ op: 'update', resource: draft('kept'), version: '999999' }, 'conflict'],
          [{ op: 'delete', key: dataplaneKey('missing') }, 'not-found'],
          [{ op: 'delete', key: dataplaneKey('kept'), version: '999999' }, 'conflict'],
        ];
        for (const [write, code] of bad) {
          const work = store.transact([
            { op: 'create', resource: draft('new-1') },
            { op: 'put', resource: draft('kept', { value: 2 }) },
            write,
            { op: 'create', resource: draft('new-2') },
          ]);
          expect(await errorCode(work)).toBe(code);
        }
        expect(await everything(store, ['Dataplane'])).toEqual(before);
        expect(await store.get(dataplaneKey('kept'))).toEqual(kept);
      });

      it('puts whether or not it is there', async () => {
        const [made] = await store.transact([{ op: 'put', resource: draft('web', { value: 1 }) }]);
        clock.set(Date.UTC(2026, 0, 2));
        const [replaced] = await store.transact([{ op: 'put', resource: draft('web', { value: 2 }) }]);
        expect(replaced?.meta.creationTime).toBe(made?.meta.creationTime);
        expect(replaced?.meta.modificationTime).toEqual(time('2026-01-02T00:00:00.000Z'));
        expect(await store.transact([])).toEqual([]);
      });

      it(`takes ${transactions ? 'thousands' : 'hundreds'} of writes at once`, async () => {
        const length = transactions ? 3000 : 300;
        const drafts = Array.from({ length }, (_, index) => draft(`dp-${index}`, { value: index }));
        await store.transact(drafts.map((resource) => ({ op: 'put', resource })));
        expect((await store.list({ type: 'Dataplane', size: 1 })).total).toBe(length);
        await store.transact(drafts.slice(1).map((resource) => ({ op: 'delete', key: keyOf(resource) })));
        expect(await store.count()).toEqual(new Map([['Dataplane', 1]]));
      });

      it.skipIf(!transactions)('shows a transaction wholly or not at all to a reader', async () => {
        await store.transact([
          { op: 'put', resource: draft('a', { value: 0 }) },
          { op: 'put', resource: draft('b', { value: 0 }) },
        ]);
        let writing = true;
        const writer = (async () => {
          for (let value = 1; value <= 50; value += 1) {
            await store.transact([
              { op: 'put', resource: draft('a', { value }) },
              { op: 'put', resource: draft('b', { value }) },
            ]);
          }
          writing = false;
        })();
        while (writing) {
          const [a, b] = (await store.list({ type: 'Dataplane' })).items;
          expect(a?.spec).toEqual(b?.spec);
          await new Promise((resolve) => setImmediate(resolve));
        }
        await writer;
      });
    });

    describe('lists', () => {
      const odd = freeNames ? { name: 'Api', label: "o'api" } : { name: '0api', label: 'o.api' };
      beforeEach(async () => {
        await store.transact([
          { op: 'create', resource: draft('web-2', { port: 2 }, { labels: { app: 'web', v: '2' } }) },
          { op: 'create', resource: draft('web-10', { port: 10 }, { labels: { app: 'web' } }) },
          { op: 'create', resource: draft(odd.name, { port: 3 }, { labels: { app: odd.label, toString: 'x' } }) },
          { op: 'create', resource: draft('api', { port: 4 }, { mesh: 'another', labels: { app: 'web' } }) },
          { op: 'create', resource: draft('web-2', {}, { type: 'DataplaneInsight' }) },
          { op: 'create', resource: draft('east', {}, { type: 'Zone', mesh: '' }) },
        ]);
      });

      it('sorts by mesh, then name, byte by byte', async () => {
        const { items, total, next } = await store.list({ type: 'Dataplane' });
        expect(items.map((item) => `${item.meta.mesh}/${item.meta.name}`)).toEqual([
          'another/api',
          `default/${odd.name}`,
          'default/web-10',
          'default/web-2',
        ]);
        expect([total, next]).toEqual([4, undefined]);
        expect(isDeeplyFrozen(items[0])).toBe(true);
      });

      it('filters by mesh, part of the name, labels and where', async () => {
        expect(await names({ mesh: 'default' })).toEqual([odd.name, 'web-10', 'web-2']);
        expect(await names({ mesh: 'no-such-mesh' })).toEqual([]);
        expect(await names({ nameContains: 'eb-' })).toEqual(['web-10', 'web-2']);
        expect(await names({ nameContains: '%' })).toEqual([]);
        expect(await names({ nameContains: 'pi', mesh: 'another' })).toEqual(['api']);
        expect(await names({ labels: { app: 'web' } })).toEqual(['api', 'web-10', 'web-2']);
        expect(await names({ labels: { app: 'web', v: '2' } })).toEqual(['web-2']);
        expect(await names({ labels: { app: odd.label, toString: 'x' } })).toEqual([odd.name]);
        expect(await names({ labels: { v: 'no' } })).toEqual([]);
        expect(await names({ labels: { constructor: '' } })).toEqual([]);
        expect(await names({ labels: {} })).toHaveLength(4);
        expect(await names({ labels: { app: '\u0000' } })).toEqual([]);
        expect(await names({ nameContains: '\u0000' })).toEqual([]);
        const where = (one: Resource) => (one.spec as { port: number }).port > 2;
        expect(await names({ where })).toEqual(['api', odd.name, 'web-10']);
        const page = await store.list({ type: 'Dataplane', where, labels: { app: 'web' }, size: 1 });
        expect(page).toMatchObject({ total: 2, items: [{ meta: { name: 'api' } }], next: expect.any(String) });
      });

      it('counts by type, in all or in one mesh', async () => {
        expect(await store.count()).toEqual(
          new Map([
            ['Dataplane', 4],
            ['DataplaneInsight', 1],
            ['Zone', 1],
          ]),
        );
        expect(await store.count('another')).toEqual(new Map([['Dataplane', 1]]));
        expect(await store.count('')).toEqual(new Map([['Zone', 1]]));
      });

      it('refuses a malformed offset', async () => {
        const { next } = await store.list({ type: 'Dataplane', size: 1 });
        for (const offset of ['', 'x', '10', '!!!', `${next}A`, 'W10', Buffer.from('[1,2]').toString('base64url')]) {
          expect(await errorCode(store.list({ type: 'Dataplane', size: 1, offset }))).toBe('invalid-offset');
          expect(await errorCode(store.list({ type: 'Nothing', size: 1, offset }))).toBe('invalid-offset');
        }
      });

      it('gives an empty page with the total behind the last one', async () => {
        const { next } = await store.list({ type: 'Dataplane', size: 3 });
        await store.delete(dataplaneKey('web-2'));
        const page = await store.list({ type: 'Dataplane', size: 3, ...(next !== undefined && { offset: next }) });
        expect(page).toEqual({ items: [], total: 3 });
      });

      it('pages without a double or a missing one, whatever the size, and while others come and go', async () => {
        const all = Array.from({ length: 23 }, (_, index) => `dp-${index}`);
        await store.transact(all.map((name) => ({ op: 'put', resource: draft(name, {}, { type: 'Paged' }) })));
        for (const size of [1, 5, 22, 23, 24]) {
          const seen: string[] = [];
          let offset: string | undefined;
          let pages = 0;
          do {
            const page = await store.list({ type: 'Paged', size, ...(offset !== undefined && { offset }) });
            expect(page.items.length).toBeLessThanOrEqual(size);
            seen.push(...page.items.map((item) => item.meta.name));
            offset = page.next;
            pages += 1;
            // A write in front of and at the place of the cursor moves nothing.
            const first = draft('aaa', {}, { type: 'Paged' });
            if (pages === 1) await store.create(first);
            if (pages === 2) await store.delete(keyOf(first));
          } while (offset !== undefined);
          expect(seen).toEqual(all.toSorted());
          await store.transact([
            { op: 'put', resource: draft('aaa', {}, { type: 'Paged' }) },
            { op: 'delete', key: { type: 'Paged', mesh: 'default', name: 'aaa' } },
          ]);
        }
      });
    });

    describe('watch', () => {
      it('starts with what exists, then synced, then what happens', async () => {
        const made = await store.create(draft('web', { value: 1 }));
        const reader = replay(watch());
        await reader.until(() => reader.synced() === 1);
        expect(reader.batches.flat()).toEqual([{ op: 'upsert', resource: made }, { op: 'synced' }]);
        const updated = await store.update(draft('web', { value: 2 }));
        await reader.until(() => reader.state.get('Dataplane/default/web')?.meta.version === updated.meta.version);
        await store.delete(dataplaneKey('web'));
        await reader.until(() => reader.state.size === 0);
        const last = reader.batches.flat().at(-1);
        expect(last).toMatchObject({ op: 'delete', key: dataplaneKey('web') });
        expect(reader.synced()).toBe(1);
      });

      it('says synced at once when nothing exists', async () => {
        const reader = replay(watch());
        await reader.until(() => reader.synced() === 1);
        expect(reader.batches).toEqual([[{ op: 'synced' }]]);
      });

      it('shows only the asked types', async () => {
        await store.create(draft('web'));
        await store.create(draft('east', {}, { type: 'Zone', mesh: '' }));
        const reader = replay(watch(['Zone', 'Mesh']));
        await reader.until(() => reader.synced() === 1);
        await store.create(draft('api'));
        await store.create(draft('default', {}, { type: 'Mesh', mesh: '' }));
        await reader.until(() => reader.state.has('Mesh//default'));
        expect([...reader.state.keys()]).toEqual(['Zone//east', 'Mesh//default']);
      });

      it.skipIf(!transactions)(
        'gives a transaction in one batch, without a key that came and went within it',
        async () => {
          const reader = replay(watch());
          await reader.until(() => reader.synced() === 1);
          await store.transact([
            { op: 'create', resource: draft('a', { value: 1 }) },
            { op: 'create', resource: draft('gone') },
            { op: 'create', resource: draft('b') },
            { op: 'update', resource: draft('a', { value: 2 }) },
            { op: 'delete', key: dataplaneKey('gone') },
          ]);
          await reader.until(() => reader.state.size === 2);
          const batch = reader.batches.at(-1)!;
          expect(batch.map((one) => one.op === 'upsert' && [one.resource.meta.name, one.resource.spec])).toEqual([
            ['b', { value: 0 }],
            ['a', { value: 2 }],
          ]);
        },
      );

      it('shows nothing of a transaction that failed', async () => {
        const reader = replay(watch());
        await reader.until(() => reader.synced() === 1);
        await errorCode(
          store.transact([
            { op: 'create', resource: draft('a') },
            { op: 'delete', key: dataplaneKey('missing') },
          ]),
        );
        await store.create(draft('b'));
        await reader.until(() => reader.state.size > 0);
        expect([...reader.state.keys()]).toEqual(['Dataplane/default/b']);
      });

      it.skipIf(!commitOrder)('keeps commit order for a fast reader', async () => {
        const reader = replay(watch());
        await reader.until(() => reader.synced() === 1);
        const writers = Array.from({ length: 5 }, async (_, writer) => {
          for (let value = 0; value < 20; value += 1) await store.create(draft(`w${writer}-${value}`, { value }));
        });
        await Promise.all(writers);
        await reader.until(() => reader.state.size === 100);
        const versions = reader.batches
          .flat()
          .flatMap((one) => (one.op === 'upsert' ? [BigInt(one.resource.meta.version)] : []));
        expect(versions).toEqual(versions.toSorted((a, b) => Number(a - b)));
      });

      it('replays to exactly the final list, for watchers that join at any time, while many write', async () => {
        const step = fc.record({
          op: fc.constantFrom<Step['op']>('put', 'create', 'update', 'delete'),
          name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
          mesh: fc.constantFrom('m1', 'm2'),
          value: fc.nat(),
        });
        const toWrite = ({ op, mesh, value, ...step }: Step): Write => {
          const name = freeNames ? step.name : `${mesh}-${step.name}`;
          return op === 'delete'
            ? { op, key: dataplaneKey(name, mesh) }
            : { op, resource: draft(name, { value }, { mesh }) };
        };
        const writer = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 });
        await fc.assert(
          fc.asyncProperty(fc.array(writer, { minLength: 2, maxLength: 4 }), async (writers) => {
            const done = new AbortController();
            const readers = [replay(store.watch({ signal: done.signal }))];
            await Promise.all(
              writers.map(async (transactions) => {
                for (const steps of transactions) {
                  await store.transact(steps.map(toWrite)).catch((error: unknown) => {
                    if (!(error instanceof StoreError) || error.code === 'unavailable') throw error;
                  });
                  readers.push(replay(store.watch({ signal: done.signal })));
                }
              }),
            );
            const final = await everything(store, ['Dataplane']);
            const same = (reader: Replay) =>
              reader.synced() > 0 &&
              reader.state.size === final.size &&
              [...final].every(([key, one]) => reader.state.get(key)?.meta.version === one.meta.version);
            for (const reader of readers) {
              await reader.until(() => same(reader));
              expect(new Map([...reader.state].toSorted())).toEqual(new Map([...final].toSorted()));
            }
            done.abort();
            await Promise.all(readers.map((reader) => reader.ended));
          }),
          { numRuns: 15 },
        );
      });

      it('merges by key for a slow reader, and forgets what came and went unseen', async () => {
        await store.create(draft('seen', { value: 0 }));
        const iterator = watch()[Symbol.asyncIterator]();
        const first = await iterator.next();
        expect(first.value).toMatchObject([{ op: 'upsert' }, { op: 'synced' }]);
        for (let value = 1; value <= 30; value += 1) {
          await store.transact([
            { op: 'put', resource: draft('hot', { value }) },
            { op: 'put', resource: draft(`passing-${value}`) },
          ]);
          await store.delete(dataplaneKey(`passing-${value}`));
        }
        await store.delete(dataplaneKey('seen'));
        await store.create(draft('last'));
        const got = new Map<string, Change>();
        let changes = 0;
        while (!got.has('last')) {
          const { value } = await iterator.next();
          for (const change of (value ?? []) as readonly Change[]) {
            changes += 1;
            if (change.op === 'upsert') got.set(change.resource.meta.name, change);
            if (change.op === 'delete') got.set(change.key.name, change);
          }
        }
        expect(got.get('hot')).toMatchObject({ op: 'upsert', resource: { spec: { value: 30 } } });
        expect(got.get('seen')).toMatchObject({ op: 'delete' });
        // 30 changes of `hot` and 60 of passing keys were merged.
        expect(changes).toBeLessThan(20);
        await iterator.return?.();
      });

      it('ends when its signal aborts, also while waiting, and lets others go on', async () => {
        const one = new AbortController();
        const first = replay(store.watch({ signal: one.signal }));
        const second = replay(watch());
        await first.until(() => first.synced() === 1);
        await second.until(() => second.synced() === 1);
        one.abort();
        await first.ended;
        await store.create(draft('web'));
        await second.until(() => second.state.size === 1);
        expect(first.state.size).toBe(0);
        const late = replay(store.watch({ signal: one.signal }));
        await late.ended;
        expect(late.batches).toEqual([]);
      });

      it('may be left by its reader', async () => {
        for await (const batch of watch()) {
          expect(batch).toEqual([{ op: 'synced' }]);
          break;
        }
        await store.create(draft('web'));
      });
    });

    describe('close', () => {
      it('ends watches, refuses everything after, and may be called twice', async () => {
        const reader = replay(watch());
        await reader.until(() => reader.synced() === 1);
        await store.close();
        await reader.ended;
        await store.close();
        expect(await errorCode(store.get(dataplaneKey('web')))).toBe('unavailable');
        expect(await errorCode(store.list({ type: 'Dataplane' }))).toBe('unavailable');
        expect(await errorCode(store.count())).toBe('unavailable');
        expect(await errorCode(store.create(draft('web')))).toBe('unavailable');
        const late = replay(watch());
        await late.ended;
      });
    });
  });
}
