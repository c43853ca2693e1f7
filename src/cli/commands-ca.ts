/** The `ca` commands, as data; see `commands.ts`. */
import type { CommandSpec } from './command.ts';

export const CA_COMMANDS: readonly CommandSpec[] = [];
