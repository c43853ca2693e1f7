import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFileReader } from './file-reader.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-files-'));
  mkdirSync(join(folder, 'allowed/inner'), { recursive: true });
  writeFileSync(join(folder, 'allowed/inner/ca.pem'), 'content');
  writeFileSync(join(folder, 'outside.pem'), 'SECRET');
  writeFileSync(join(folder, 'allowed/huge'), Buffer.alloc(2 * 1024 * 1024));
  symlinkSync(join(folder, 'outside.pem'), join(folder, 'allowed/link.pem'));
  symlinkSync(join(folder, 'allowed/inner/ca.pem'), join(folder, 'allowed/good-link.pem'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('createFileReader', () => {
  it('S5 files: refuses everything unless directories are allowed, and says how to allow them', async () => {
    const read = createFileReader({ allowedFileRoots: [] });
    await expect(read(join(folder, 'allowed/inner/ca.pem'))).rejects.toThrowError(/allowedFileRoots/);
  });

  it('reads inside an allowed directory, also through a link that stays inside', async () => {
    const read = createFileReader({ allowedFileRoots: [join(folder, 'allowed')] });
    expect(String(await read(join(folder, 'allowed/inner/ca.pem')))).toBe('content');
    expect(String(await read(join(folder, 'allowed/good-link.pem')))).toBe('content');
  });

  it.each([
    ['a file outside', 'outside.pem', /outside the directories/],
    ['a path that climbs', 'allowed/../outside.pem', /outside the directories/],
    ['a link that leads outside', 'allowed/link.pem', /outside the directories/],
    ['a missing file', 'allowed/missing.pem', /no such file or directory/],
    ['a directory', 'allowed/inner', /not a regular file/],
    ['a huge file', 'allowed/huge', /larger than/],
  ])('S5 files: refuses %s', async (_, name, message) => {
    const read = createFileReader({ allowedFileRoots: [join(folder, 'allowed')] });
    await expect(read(`${folder}/${name}`)).rejects.toThrowError(message);
  });

  it.each(['relative.pem', '/proc/self/environ', '/dev/stdin', '/etc/passwd'])('S5 files: refuses %s', async (name) => {
    const read = createFileReader({ allowedFileRoots: [join(folder, 'allowed')] });
    await expect(read(name)).rejects.toThrowError(/outside the directories/);
  });
});
