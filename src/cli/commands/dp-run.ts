import type { CommandModule } from '../command.ts';
import { usageError } from '../errors.ts';

/** Only reached when global options stand before a command that has its own parser. */
export function refuse(command: string): CommandModule['run'] {
  return async () => {
    throw usageError(
      `${command} takes its flags after its name`,
      `call it as \`weft ${command} [flags]\`, see \`weft ${command} --help\``,
    );
  };
}
