import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, shellBlocks } from '../e2e/guide-shell.ts';
import { startGuidePlane } from './guide-plane.ts';

it('every command of docs/guides/change-a-ca.md works', async () => {
  await using guide = await startGuidePlane();
  const { plane, shell } = guide;
  let output = '';
  for (const { script } of shellBlocks(readFileSync(join(ROOT, 'docs/guides/change-a-ca.md'), 'utf8'))) {
    const result = await shell.run(script.replaceAll('mesh.yaml', join(plane.folder, 'mesh.yaml')));
    output += result.output;
    expect(result.code, `${script}\n${result.output}`).toBe(0);
  }
  for (const way of ['ca-1 -> ca-2', 'ca-2 -> ca-1', 'new CA of ca-2']) expect(output).toContain(`${way}: Done`);
  const { mtls } = await plane.api('GET', '/meshes/default');
  expect(mtls).toMatchObject({ enabledBackend: 'ca-2', backends: [{ name: 'ca-2' }] });
}, 180_000);
