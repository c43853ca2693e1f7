/**
 * A process that writes to the SQLite store in its first argument until it is killed, starting at the round in its second, and says which rounds
 * were acknowledged (`N`, a line each) or refused (`N unavailable`). Round N, in one transaction: part-0..part-4 become N (made or replaced),
 * made-N is made, made-(N-3) is deleted, and every tenth round writes 200 KB.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { createSqliteStore } from '../../src/store/sqlite/store.ts';
import { StoreError, type Write } from '../../src/store/store.ts';

const [, , path = '', start = '0'] = process.argv;
const store = createSqliteStore({ path, clock: systemClock, log: silentLogger });

function draft(name: string, spec: unknown): Resource {
  const meta = { mesh: 'default', name, labels: {}, creationTime: '', modificationTime: '', version: '' };
  return { type: 'Dataplane', meta, spec };
}

async function writeRound(round: number): Promise<void> {
  const padding = round % 10 === 0 ? 'x'.repeat(40_000) : '';
  const writes: Write[] = [];
  for (let part = 0; part < 5; part += 1) {
    writes.push({ op: 'put', resource: draft(`part-${part}`, { round, padding }) });
  }
  writes.push({ op: 'put', resource: draft(`made-${round}`, { round }) });
  const old = { type: 'Dataplane', mesh: 'default', name: `made-${round - 3}` };
  if ((await store.get(old)) !== undefined) writes.push({ op: 'delete', key: old });
  await store.transact(writes);
}

for (let round = Number(start); ; round += 1) {
  try {
    await writeRound(round);
    writeSync(1, `${round}\n`);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'unavailable') throw error;
    writeSync(1, `${round} unavailable\n`);
  }
}
