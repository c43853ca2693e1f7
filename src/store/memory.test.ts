import { describe, expect, it } from 'vitest';
import { systemClock } from '../lib/clock.ts';
import { draft } from '../testing/store-contract/drafts.ts';
import { storeContract } from '../testing/store-contract.ts';
import { createMemoryStore } from './memory.ts';

storeContract(
  'memory',
  async (clock) => {
    const store = createMemoryStore({ clock });
    return { store, cleanup: () => store.close() };
  },
  systemClock,
);

describe('memory store', () => {
  it('keeps the identity of the parts that a write leaves equal', async () => {
    const store = createMemoryStore({ clock: systemClock });
    const first = await store.create(draft('web', { inbound: [{ port: 1 }], outbound: [{ port: 2 }] }));
    const sameSpec = await store.update(
      draft('web', { inbound: [{ port: 1 }], outbound: [{ port: 2 }] }, { status: { ok: true } }),
    );
    expect(sameSpec.spec).toBe(first.spec);
    expect(sameSpec.meta.labels).toBe(first.meta.labels);
    const partly = await store.update(draft('web', { inbound: [{ port: 1 }], outbound: [{ port: 3 }] }));
    expect(partly.spec).not.toBe(first.spec);
    expect((partly.spec as { inbound: unknown }).inbound).toBe((first.spec as { inbound: unknown }).inbound);
    await store.close();
  });
});
