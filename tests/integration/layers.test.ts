import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const { LAYERS } = (await import(join(ROOT, '.dependency-cruiser.mjs'))) as { LAYERS: Record<string, string[]> };

/** Folder to the folders it may import from, as the table of ARCHITECTURE.md says. */
function documentedLayers(): Record<string, string[]> {
  const rows = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').matchAll(
    /^\| `([a-z0-9/-]+)\/`[^|]*\|[^|]*\| ([^|]*) \|$/gm,
  );
  return Object.fromEntries(
    [...rows].map(([, folder, from]) => [folder!, from === 'nothing of ours' ? [] : from!.split(', ')]),
  );
}

it('the folders of src/ are those of ARCHITECTURE.md', () => {
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const documented = new Set(Object.keys(documentedLayers()).map((folder) => folder.split('/')[0]!));
  expect(folders.map(({ name }) => name).sort()).toEqual([...documented].sort());
});

it('the import rules are those of ARCHITECTURE.md', () => {
  const { testing, ...documented } = documentedLayers();
  expect(testing).toEqual(['everything']);
  const sorted = (layers: Record<string, string[]>) =>
    Object.fromEntries(Object.entries(layers).map(([folder, from]) => [folder, [...from].sort()]));
  expect(sorted(LAYERS)).toEqual(sorted(documented));
});
