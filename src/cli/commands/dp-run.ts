import type { Invocation } from '../command.ts';
import { usageError } from '../errors.ts';

/** Only reached when global options stand before `dp run`, which has its own parser. */
export async function run(_invocation: Invocation): Promise<void> {
  throw usageError(
    'dp run takes its flags after its name',
    'call it as `weft dp run [flags]`, see `weft dp run --help`',
  );
}
