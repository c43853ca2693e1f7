#!/usr/bin/env node
import { statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `weft needs Node 24 or newer, this is ${process.versions.node}; \`make build\` installs it in .tools/bin`,
  );
  process.exit(1);
}
enableCompileCache(join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'weft', 'compiled'));
const { main } = await import(mainModule());
process.exitCode = await main(process.argv.slice(2));

/** The bundle (scripts/bundle.mjs) while it is newer than the last compilation, else the compiled modules: the same program, started faster. */
function mainModule(): string {
  const bundle = new URL('../bundle/main.js', import.meta.url);
  const compiled = statSync(new URL('../.tsbuildinfo', import.meta.url), { throwIfNoEntry: false });
  const bundled = statSync(bundle, { throwIfNoEntry: false });
  return bundled !== undefined && bundled.mtimeMs >= (compiled?.mtimeMs ?? 0) ? bundle.href : '../cli/main.ts';
}
