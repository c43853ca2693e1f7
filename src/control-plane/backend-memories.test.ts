import { expect, it } from 'vitest';
import type { BackendMemory } from '../identity/coordinator-memory.ts';
import { systemClock } from '../lib/clock.ts';
import { issuanceStateKind } from '../resources/kinds/issuance-state.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createBackendMemories } from './backend-memories.ts';

const memoryOf = (mesh: string, backend: string, slowedTo = 5): BackendMemory => ({
  mesh,
  backend,
  conf: 'a1b2',
  memory: {
    slowedTo,
    breaker: { opened: 2, openUntil: 1_800_000_000_000 },
    refusals: { attempts: 1, nextTurn: 1_800_000_000_000, proxies: ['web-1'] },
    failures: [{ proxy: 'web-1', attempts: 3, since: 1_700_000_000_000, nextAttemptAt: 1_800_000_000_000 }],
    lastError: 'connection refused',
  },
});

it('keeps one record for each backend of each mesh, whatever its name, and the newest', async () => {
  const store = createMemoryStore({ clock: systemClock });
  const memories = createBackendMemories(store);
  await memories.save([memoryOf('default', 'Vault_1'), memoryOf('other', 'Vault_1')]);
  await memories.save([memoryOf('default', 'Vault_1', 7)]);
  await memories.remove([
    { mesh: 'other', backend: 'Vault_1' },
    { mesh: 'other', backend: 'never there' },
  ]);
  expect(await memories.load()).toEqual([memoryOf('default', 'Vault_1', 7)]);
  const { items } = await store.list({ type: 'IssuanceState' });
  expect(items[0]!.meta.name).toMatch(/^[a-z0-9-]+$/);
  expect(issuanceStateKind.schema.parse(items[0]!.spec)).toEqual(items[0]!.spec);
});
