import { type ControlPlaneConfig, loadConfig, maskedConfig } from '../../control-plane/config.ts';
import { type Invocation, textOption } from '../command.ts';
import { formatOf, printText, yamlText } from '../output/print.ts';

/** The configuration of `-c` and the environment; warnings go to stderr. Throws `ConfigError`. */
export function readConfig(invocation: Invocation): ControlPlaneConfig {
  const file = textOption(invocation, 'config');
  const level = textOption(invocation, 'logLevel');
  const env = level === undefined ? invocation.io.env : { ...invocation.io.env, WEFT_LOG_LEVEL: level };
  const { config, warnings } = loadConfig({ ...(typeof file === 'string' ? { file } : {}), env });
  for (const warning of warnings) invocation.io.stderr(`warning: ${warning}\n`);
  return config;
}

/** `weft cp config`. */
export async function run(invocation: Invocation): Promise<void> {
  const shown = maskedConfig(readConfig(invocation));
  await printText(invocation, formatOf(invocation) === 'table' ? await yamlText(shown) : '', shown);
}
