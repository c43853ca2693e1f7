import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { locateModule } from './locate.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'weft-locate-')));
afterAll(() => rmSync(root, { recursive: true }));

function write(path: string, content: unknown): string {
  const file = join(root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}
const url = (path: string) => pathToFileURL(join(root, path)).href;

it('finds a file, and lets it read its package', () => {
  const file = write('pkg/lib/ca.js', '');
  write('pkg/package.json', { name: 'pkg', type: 'module' });
  mkdirSync(join(root, 'pkg/node_modules/@scope'), { recursive: true });
  mkdirSync(join(root, 'linked'));
  symlinkSync(join(root, 'linked'), join(root, 'pkg/node_modules/@scope/linked'));
  expect(locateModule(file, root)).toEqual({
    specifier: url('pkg/lib/ca.js'),
    base: url('pkg/lib/ca.js'),
    readable: [join(root, 'pkg'), join(root, 'pkg/node_modules'), join(root, 'linked')],
  });
});

it('finds the folder of a package, by exports or by main', () => {
  write('by-exports/package.json', { name: '@x/by-exports', exports: './a.js' });
  write('by-main/package.json', { name: 'by-main', main: 'b.js' });
  expect(locateModule(join(root, 'by-exports'), root)).toMatchObject({
    specifier: '@x/by-exports',
    base: url('by-exports/package.json'),
  });
  expect(locateModule(join(root, 'by-main'), root)).toMatchObject({ specifier: url('by-main/b.js') });
});

it('finds a package that is installed in the work directory, and does not let it read that directory', () => {
  const workDir = join(root, 'work');
  write('work/package.json', { dependencies: {} });
  write('work/sealing.key', 'secret');
  write('elsewhere/package.json', { name: 'my-ca', exports: './index.js' });
  write('elsewhere/index.js', '');
  mkdirSync(join(workDir, 'node_modules'));
  symlinkSync(join(root, 'elsewhere'), join(workDir, 'node_modules/my-ca'));
  const { specifier, readable } = locateModule('my-ca', workDir);
  expect(specifier).toBe('my-ca');
  expect(readable).toEqual([join(root, 'elsewhere'), join(workDir, 'node_modules')]);
});

it('says what is not there', () => {
  expect(() => locateModule(join(root, 'nothing.js'), root)).toThrow(/there is no .*nothing\.js/);
  expect(() => locateModule('not-installed', root)).toThrow(/npm install --prefix .* not-installed/);
  mkdirSync(join(root, 'empty'));
  expect(() => locateModule(join(root, 'empty'), root)).toThrow(/no package\.json/);
});
