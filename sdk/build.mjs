/**
 * Builds dist/ of the package before it is packed: the interface by `tsc -b`, and the contract test as one file that has Weft's own checks in it, so that the package
 * needs no other one.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const HERE = import.meta.dirname;
const tsc = join(HERE, '../node_modules/.bin/tsc');
const run = (...args) => execFileSync(process.execPath, [tsc, ...args], { cwd: HERE, stdio: ['ignore', 2, 2] });

run('-b');
const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: [join(HERE, 'src/contract.ts')],
  outfile: join(HERE, 'dist/contract.js'),
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minify: true,
  keepNames: true,
  legalComments: 'eof',
  // CommonJS packages inside the bundle still ask for Node's modules by `require`.
  banner: {
    js: "import { createRequire as requireIn } from 'node:module'; const require = requireIn(import.meta.url);",
  },
  metafile: true,
  logLevel: 'warning',
});
cpSync(join(HERE, '../LICENSE'), join(HERE, 'dist/LICENSE'));
writeFileSync(join(HERE, 'dist/THIRD-PARTY.txt'), licences(Object.keys(metafile.inputs)));
// What it declares itself; Weft's own types are in none of its signatures.
run('-p', 'tsconfig.contract.json');
cpSync(join(HERE, 'dist/declared/sdk/src/contract.d.ts'), join(HERE, 'dist/contract.d.ts'));
rmSync(join(HERE, 'dist/declared'), { recursive: true });

/** Name, version and licence of each package that is in the bundle. */
function licences(inputs) {
  const folders = inputs
    .map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0])
    .filter((path) => path !== undefined);
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(HERE, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(HERE, folder)).find((entry) => /^licen[sc]e/i.test(entry));
    const text = file === undefined ? '' : readFileSync(join(HERE, folder, file), 'utf8');
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return `dist/contract.js has these packages in it:\n\n${texts.join('\n----\n\n')}`;
}
