import { openStore } from '../../control-plane/open-store.ts';
import { systemClock } from '../../lib/clock.ts';
import { createPinoLogger } from '../../lib/pino-log.ts';
import type { Invocation } from '../command.ts';
import { printText } from '../output/print.ts';
import { readConfig } from './cp-config.ts';

/** `weft cp migrate up`: opening a store brings its tables up to date; a second run changes nothing. */
export async function run(invocation: Invocation): Promise<void> {
  const config = readConfig(invocation);
  const log = createPinoLogger(config.weft.log.level === 'info' ? 'warn' : config.weft.log.level);
  const { store } = await openStore(config, config.general.workDir, systemClock, log);
  try {
    await store.count();
  } finally {
    await store.close();
  }
  const where = config.store.type === 'sqlite' ? ` ${config.store.sqlite.path}` : '';
  await printText(invocation, `store ${config.store.type}${where} is up to date\n`, {
    store: config.store.type,
    migrated: true,
  });
}
