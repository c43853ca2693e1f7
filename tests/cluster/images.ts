import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const IMAGES = ['control-plane', 'proxy'].map((name) => join(ROOT, 'dist/images', `${name}.tar`));
const BUNDLE = join(ROOT, 'dist/bundle/main.js');

/**
 * Archives of both images, for `loadImage`: made anew when `tsc` has written since. Minutes the first time, then seconds. `dist/` itself is not built here.
 */
export async function weftImages(): Promise<readonly string[]> {
  const compiledAt = statSync(join(ROOT, 'dist/.tsbuildinfo')).mtimeMs;
  const isOld = (file: string) => !existsSync(file) || statSync(file).mtimeMs < compiledAt;
  if (isOld(BUNDLE)) runScript('bundle.mjs');
  if (IMAGES.some(isOld)) runScript('images.mjs');
  return IMAGES;
}

function runScript(name: string): void {
  execFileSync(process.execPath, [`scripts/${name}`], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
}
