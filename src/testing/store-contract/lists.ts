import { beforeEach, describe, expect, it } from 'vitest';
import { keyOf, type Resource } from '../../resources/resource.ts';
import type { ListQuery } from '../../store/store.ts';
import { dataplaneKey, draft, errorCode, isDeeplyFrozen } from './drafts.ts';
import type { StoreWorld } from './world.ts';

/** Order, filters, counts and pages. */
export function listsContract(world: StoreWorld): void {
  const { freeNames } = world.can;
  const names = async (query: Omit<ListQuery, 'type'>) =>
    (await world.store.list({ type: 'Dataplane', ...query })).items.map((item) => item.meta.name);
  describe('lists', () => {
    const odd = freeNames ? { name: 'Api', label: "o'api" } : { name: '0api', label: 'o.api' };
    beforeEach(async () => {
      await world.store.transact([
        { op: 'create', resource: draft('web-2', { port: 2 }, { labels: { app: 'web', v: '2' } }) },
        { op: 'create', resource: draft('web-10', { port: 10 }, { labels: { app: 'web' } }) },
        { op: 'create', resource: draft(odd.name, { port: 3 }, { labels: { app: odd.label, toString: 'x' } }) },
        { op: 'create', resource: draft('api', { port: 4 }, { mesh: 'another', labels: { app: 'web' } }) },
        { op: 'create', resource: draft('web-2', {}, { type: 'DataplaneInsight' }) },
        { op: 'create', resource: draft('east', {}, { type: 'Zone', mesh: '' }) },
      ]);
    });

    it('sorts by mesh, then name, byte by byte', async () => {
      const { items, total, next } = await world.store.list({ type: 'Dataplane' });
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
      const page = await world.store.list({ type: 'Dataplane', where, labels: { app: 'web' }, size: 1 });
      expect(page).toMatchObject({ total: 2, items: [{ meta: { name: 'api' } }], next: expect.any(String) });
    });

    it('counts by type, in all or in one mesh', async () => {
      expect(await world.store.count()).toEqual(
        new Map([
          ['Dataplane', 4],
          ['DataplaneInsight', 1],
          ['Zone', 1],
        ]),
      );
      expect(await world.store.count('another')).toEqual(new Map([['Dataplane', 1]]));
      expect(await world.store.count('')).toEqual(new Map([['Zone', 1]]));
    });

    it('refuses a malformed offset', async () => {
      const { next } = await world.store.list({ type: 'Dataplane', size: 1 });
      for (const offset of ['', 'x', '10', '!!!', `${next}A`, 'W10', Buffer.from('[1,2]').toString('base64url')]) {
        expect(await errorCode(world.store.list({ type: 'Dataplane', size: 1, offset }))).toBe('invalid-offset');
        expect(await errorCode(world.store.list({ type: 'Nothing', size: 1, offset }))).toBe('invalid-offset');
      }
    });

    it('gives an empty page with the total behind the last one', async () => {
      const { next } = await world.store.list({ type: 'Dataplane', size: 3 });
      await world.store.delete(dataplaneKey('web-2'));
      const page = await world.store.list({ type: 'Dataplane', size: 3, ...(next !== undefined && { offset: next }) });
      expect(page).toEqual({ items: [], total: 3 });
    });

    it('pages without a double or a missing one, whatever the size, and while others come and go', async () => {
      const all = Array.from({ length: 23 }, (_, index) => `dp-${index}`);
      await world.store.transact(all.map((name) => ({ op: 'put', resource: draft(name, {}, { type: 'Paged' }) })));
      for (const size of [1, 5, 22, 23, 24]) {
        const seen: string[] = [];
        let offset: string | undefined;
        let pages = 0;
        do {
          const page = await world.store.list({ type: 'Paged', size, ...(offset !== undefined && { offset }) });
          expect(page.items.length).toBeLessThanOrEqual(size);
          seen.push(...page.items.map((item) => item.meta.name));
          offset = page.next;
          pages += 1;
          // A write in front of and at the place of the cursor moves nothing.
          const first = draft('aaa', {}, { type: 'Paged' });
          if (pages === 1) await world.store.create(first);
          if (pages === 2) await world.store.delete(keyOf(first));
        } while (offset !== undefined);
        expect(seen).toEqual(all.toSorted());
        await world.store.transact([
          { op: 'put', resource: draft('aaa', {}, { type: 'Paged' }) },
          { op: 'delete', key: { type: 'Paged', mesh: 'default', name: 'aaa' } },
        ]);
      }
    });
  });
}
