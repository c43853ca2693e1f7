import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PROJECT = join(import.meta.dirname, '../..');

/** The SDK as others get it: packed, and installed beside the example without a network. */
describe('the package of the SDK', () => {
  let folder = '';
  /** Standard output; what went wrong is in the error. */
  function run(program: string, ...args: string[]): string {
    const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
    if (status === 0) return stdout;
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? ''} ${stdout} ${stderr}`);
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-sdk-'));
    const packed = JSON.parse(run('npm', 'pack', '--json', join(PROJECT, 'sdk'))) as { filename: string }[];
    cpSync(join(PROJECT, 'sdk/example'), folder, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    manifest.dependencies['@weft/ca-backend'] = `file:${packed[0]!.filename}`;
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    // What else the example needs is here already, so that nothing has to be fetched.
    for (const name of Object.keys(manifest.dependencies)) if (!name.startsWith('@weft/')) bring(name);
    run('npm', 'install', '--offline', '--no-audit', '--no-fund', '--loglevel=error');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function bring(name: string): void {
    const from = join(PROJECT, 'node_modules', name);
    const to = join(folder, 'node_modules', name);
    if (existsSync(to)) return;
    cpSync(from, to, { recursive: true });
    const { dependencies = {} } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(dependencies)) bring(dependency);
  }

  it('has what it says, and none of the sources', () => {
    const installed = join(folder, 'node_modules/@weft/ca-backend');
    for (const file of ['dist/index.js', 'dist/index.d.ts', 'dist/contract.js', 'dist/contract.d.ts', 'dist/LICENSE']) {
      expect(existsSync(join(installed, file)), file).toBe(true);
    }
    expect(existsSync(join(installed, 'src'))).toBe(false);
    expect(existsSync(join(installed, 'node_modules'))).toBe(false);
  });

  it('runs the contract test of the example', () => {
    const said = run(process.execPath, '--test', '--test-reporter=tap');
    expect(said).toMatch(/^# pass 9$/m);
    expect(said).toMatch(/^# fail 0$/m);
  });

  it('has types that the example fits', () => {
    const types = join(folder, 'node_modules/@types');
    mkdirSync(types, { recursive: true });
    for (const name of ['@types/node', 'undici-types']) {
      if (!existsSync(join(folder, 'node_modules', name))) {
        symlinkSync(join(PROJECT, 'node_modules', name), join(folder, 'node_modules', name));
      }
    }
    const strict = ['--strict', '--checkJs', '--allowJs', '--noEmit', '--types', 'node'];
    const modern = ['--module', 'nodenext', '--target', 'es2024', '--skipLibCheck', 'false'];
    const tsc = join(PROJECT, 'node_modules/typescript/bin/tsc');
    run(process.execPath, tsc, ...strict, ...modern, 'index.js', 'contract.test.js');
  });
});
