import { describe, expect, it } from 'vitest';
import type { Resource } from '../../resources/resource.ts';
import { StoreError } from '../../store/store.ts';
import { dataplaneKey, draft, errorCode, isDeeplyFrozen } from './drafts.ts';
import type { StoreWorld } from './world.ts';

/** Labels without the one that says the mesh: an engine may keep the mesh there. */
function ownLabels({ meta }: Resource): Readonly<Record<string, string>> {
  const { 'kuma.io/mesh': _mesh, ...labels } = meta.labels;
  return labels;
}

/** One resource at a time, and many writers of it. */
export function resourcesContract(world: StoreWorld): void {
  const { exactJson } = world.can;
  describe('single resources', () => {
    it('gives back what was created, stamped and frozen', async () => {
      const spec = { networking: { address: '127.0.0.1', inbound: [{ port: 80 }] } };
      const made = await world.store.create(draft('web', spec, { labels: { a: 'b' }, status: { ok: true } }));
      expect({ ...made, meta: { ...made.meta, labels: ownLabels(made) } }).toEqual({
        type: 'Dataplane',
        meta: {
          mesh: 'default',
          name: 'web',
          labels: { a: 'b' },
          creationTime: world.time('2026-01-01T00:00:00.000Z'),
          modificationTime: world.time('2026-01-01T00:00:00.000Z'),
          version: expect.stringMatching(/./),
        },
        spec,
        status: { ok: true },
      });
      expect(await world.store.get(dataplaneKey('web'))).toEqual(made);
      expect(isDeeplyFrozen(made)).toBe(true);
      expect(isDeeplyFrozen(await world.store.get(dataplaneKey('web')))).toBe(true);
      spec.networking.address = 'changed by its owner';
      expect(await world.store.get(dataplaneKey('web'))).toEqual(made);
    });

    it('gives undefined for what is not there', async () => {
      expect(await world.store.get(dataplaneKey('web'))).toBeUndefined();
      expect(await world.store.get(dataplaneKey('web\u0000'))).toBeUndefined();
      await world.store.create(draft('web'));
      expect(await world.store.get(dataplaneKey('web', 'other'))).toBeUndefined();
      expect(await world.store.get({ type: 'DataplaneInsight', mesh: 'default', name: 'web' })).toBeUndefined();
    });

    it('keeps global kinds under the empty mesh', async () => {
      const zone = await world.store.create(draft('east', { enabled: true }, { type: 'Zone', mesh: '' }));
      expect(await world.store.get({ type: 'Zone', mesh: '', name: 'east' })).toEqual(zone);
    });

    it('keeps JSON as it is: nested, unicode, odd names, null, no undefined members', async () => {
      const deep = exactJson ? '{"__proto__":{"x":1}}' : '{"proto":{"x":1}}';
      const spec = JSON.parse(
        `{"a":[1,2.5,-1e21,null,true,[],{}],"":"empty","ü😀":"\\u0000\\"\\\\ ","deep":${deep},"n":null}`,
      );
      await world.store.create(draft('odd', { ...spec, gone: undefined }));
      const got = await world.store.get(dataplaneKey('odd'));
      if (exactJson) expect(JSON.stringify(got?.spec)).toBe(JSON.stringify(spec));
      else expect(got?.spec).toEqual(spec);
    });

    it('refuses a second create', async () => {
      const first = await world.store.create(draft('web', { value: 1 }));
      expect(await errorCode(world.store.create(draft('web', { value: 2 })))).toBe('already-exists');
      expect(await world.store.get(dataplaneKey('web'))).toEqual(first);
    });

    it('replaces spec, labels and status on update, and keeps the creation time', async () => {
      const made = await world.store.create(draft('web', { value: 1 }, { labels: { a: 'b' }, status: { ok: true } }));
      world.clock.set(Date.UTC(2026, 0, 2));
      const updated = await world.store.update(draft('web', { value: 2 }, { labels: { c: 'd' } }), made.meta.version);
      expect(updated.spec).toEqual({ value: 2 });
      expect(ownLabels(updated)).toEqual({ c: 'd' });
      expect('status' in updated).toBe(false);
      expect(updated.meta.creationTime).toEqual(made.meta.creationTime);
      expect(updated.meta.modificationTime).toEqual(world.time('2026-01-02T00:00:00.000Z'));
      expect(BigInt(updated.meta.version)).toBeGreaterThan(BigInt(made.meta.version));
      expect(await world.store.get(dataplaneKey('web'))).toEqual(updated);
    });

    it('refuses an update of what is missing, or with an old version', async () => {
      expect(await errorCode(world.store.update(draft('web')))).toBe('not-found');
      const made = await world.store.create(draft('web', { value: 1 }));
      const second = await world.store.update(draft('web', { value: 2 }));
      expect(await errorCode(world.store.update(draft('web', { value: 3 }), made.meta.version))).toBe('conflict');
      expect(await world.store.get(dataplaneKey('web'))).toEqual(second);
    });

    it('deletes, and refuses to delete what is missing or has another version', async () => {
      expect(await errorCode(world.store.delete(dataplaneKey('web')))).toBe('not-found');
      const made = await world.store.create(draft('web'));
      const second = await world.store.update(draft('web', { value: 2 }));
      expect(await errorCode(world.store.delete(dataplaneKey('web'), made.meta.version))).toBe('conflict');
      await world.store.delete(dataplaneKey('web'), second.meta.version);
      expect(await world.store.get(dataplaneKey('web'))).toBeUndefined();
    });

    it('never gives an old version to a new life of a name', async () => {
      const first = await world.store.create(draft('web'));
      await world.store.delete(dataplaneKey('web'));
      const second = await world.store.create(draft('web'));
      expect(BigInt(second.meta.version)).toBeGreaterThan(BigInt(first.meta.version));
      expect(await errorCode(world.store.update(draft('web'), first.meta.version))).toBe('conflict');
    });

    it('names the key in the error', async () => {
      const error = await world.store.update(draft('web')).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'not-found', key: dataplaneKey('web') });
    });
  });

  describe('concurrency', () => {
    it('loses no update of writers that read, change and write with a version', async () => {
      await world.store.create(draft('counter', { value: 0 }));
      const increment = async () => {
        for (;;) {
          const current = await world.store.get(dataplaneKey('counter'));
          const { value } = current!.spec as { value: number };
          try {
            await world.store.update(draft('counter', { value: value + 1 }), current!.meta.version);
            return;
          } catch (error) {
            if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: 8 }, () => increment().then(increment).then(increment)));
      expect((await world.store.get(dataplaneKey('counter')))?.spec).toEqual({ value: 24 });
    });

    it('lets exactly one of many creators win', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, value) => world.store.create(draft('web', { value }))),
      );
      const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
      expect(won).toHaveLength(1);
      expect(await world.store.get(dataplaneKey('web'))).toEqual(won[0]?.value);
    });
  });
}
