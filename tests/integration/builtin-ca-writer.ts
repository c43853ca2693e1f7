/** Makes the builtin CA of one mesh after another in the SQLite store of its first argument until it is killed; says each that is done. */
import { writeSync } from 'node:fs';
import { builtinCa } from '../../src/ca/builtin.ts';
import { createSecretAccess } from '../../src/control-plane/secrets.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createSqliteStore } from '../../src/store/sqlite/store.ts';
import { createCaDependencies } from '../../src/testing/ca-contract.ts';

const [, , path = '', start = '0'] = process.argv;
const store = createSqliteStore({ path, clock: systemClock, log: silentLogger });
const deps = createCaDependencies({ secrets: createSecretAccess(store) });
for (let mesh = Number(start); ; mesh += 1) {
  await builtinCa.ensure!({ mesh: `m${mesh}`, name: 'ca-1', type: 'builtin', conf: {} }, deps);
  writeSync(1, `${mesh}\n`);
}
