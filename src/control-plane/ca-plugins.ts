import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PluginProgram } from '../ca/plugin/process.ts';

/** `bin/ca-plugin` beside this program: its source, compiled, or next to the bundle, as this file is. */
export function caPluginProgram(): PluginProgram {
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const script = fileURLToPath(new URL(`../bin/ca-plugin.${suffix}`, import.meta.url));
  const code = dirname(dirname(script));
  const root = dirname(code);
  return { script, readable: [code, join(root, 'package.json'), join(root, 'node_modules')] };
}
