import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const NAMES = ['control-plane', 'proxy'];

/** Archives of both images of this version, for `loadImage`; built anew when the program is newer. Minutes the first time, then seconds. */
export async function weftImages(): Promise<readonly string[]> {
  const archives = NAMES.map((name) => join(ROOT, 'dist/images', `${name}.tar`));
  const builtAt = statSync(join(ROOT, 'dist/.tsbuildinfo')).mtimeMs;
  if (archives.some((archive) => !existsSync(archive) || statSync(archive).mtimeMs < builtAt)) {
    execFileSync(process.execPath, ['scripts/images.mjs'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return archives;
}
