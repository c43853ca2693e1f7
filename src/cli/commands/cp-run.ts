import type { Invocation } from '../command.ts';
import { readConfig } from './cp-config.ts';

/** `weft cp run`: until SIGINT or SIGTERM, which drains. */
export async function run(invocation: Invocation): Promise<void> {
  const config = readConfig(invocation);
  const { runControlPlane } = await import('../../control-plane/run.ts');
  await runControlPlane({ config, signal: invocation.io.signal, env: invocation.io.env });
}
