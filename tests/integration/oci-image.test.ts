import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createOciImage } from '../../scripts/oci-image.mjs';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-oci-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** tar is the real reader. */
const tar = (...args: string[]) => execFileSync('tar', args, { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } });
const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

it('makes an image whose layer is the folder, the same at every time', async () => {
  const rootfs = join(directory, 'rootfs');
  const deep = join('node_modules', 'a'.repeat(90), 'b'.repeat(90), 'c'.repeat(90));
  mkdirSync(join(rootfs, deep), { recursive: true });
  writeFileSync(join(rootfs, 'run'), '#!/bin/true\n');
  chmodSync(join(rootfs, 'run'), 0o755);
  writeFileSync(join(rootfs, deep, `ü-${'d'.repeat(120)}.js`), 'deep');
  writeFileSync(join(rootfs, 'node_modules', 'e'.repeat(120)), '');
  symlinkSync(`../${'f'.repeat(110)}`, join(rootfs, 'far'));
  symlinkSync('run', join(rootfs, 'near'));

  const config = { Entrypoint: ['/run'], User: '5678' };
  const output = join(directory, 'image.tar');
  const found = await createOciImage({ name: 'weft/thing:1.0', rootfs, config, output });
  const again = join(directory, 'again.tar');
  expect(await createOciImage({ name: 'weft/thing:1.0', rootfs, config, output: again })).toBe(found);
  expect(digest(again)).toBe(digest(output));

  const layout = join(directory, 'layout');
  mkdirSync(layout);
  tar('-xf', output, '-C', layout);
  const json = (path: string) => JSON.parse(readFileSync(join(layout, path), 'utf8'));
  const blob = (one: { digest: string; size: number }) => {
    const path = join('blobs', one.digest.replace(':', '/'));
    expect(digest(join(layout, path))).toBe(one.digest.slice('sha256:'.length));
    expect(readFileSync(join(layout, path))).toHaveLength(one.size);
    return path;
  };
  const [entry] = json('index.json').manifests;
  expect(entry.digest).toBe(found);
  expect(entry.annotations['io.containerd.image.name']).toBe('docker.io/weft/thing:1.0');
  const manifest = json(blob(entry));
  expect(json(blob(manifest.config))).toMatchObject({ os: 'linux', config });
  const layer = join(layout, blob(manifest.layers[0]));
  expect(json('manifest.json')[0]).toMatchObject({ RepoTags: ['weft/thing:1.0'] });

  const copy = join(directory, 'copy');
  mkdirSync(copy);
  tar('-xf', layer, '-C', copy);
  expect(execFileSync('diff', ['-r', '--no-dereference', rootfs, copy], { encoding: 'utf8' })).toBe('');
  expect(tar('-tvf', layer)).toMatch(/^-rwxr-xr-x 0\/0 +12 1970-01-01 00:00 run$/m);
});

it('refuses what an image cannot hold', async () => {
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  const output = join(directory, 'image.tar');
  await expect(createOciImage({ name: 'x:1', rootfs: directory, output })).rejects.toThrow(/pipe into an image/);
});
