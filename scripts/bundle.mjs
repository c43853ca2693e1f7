/**
 * Bundles dist/cli/main.js into dist/bundle/: a few files instead of about nine hundred, which makes every command start faster.
 * Packages that are loaded only when they are needed stay outside: in a bundle, `import()` of a CommonJS package gives no names.
 * What went where is in dist/bundle.meta.json (esbuild's metafile).
 */
import { rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

/** Packages that stay in node_modules, with what they depend on. */
export const EXTERNAL_PACKAGES = [
  '@aws-sdk/credential-provider-node',
  '@peculiar/x509',
  '@smithy/signature-v4',
  'pg',
  'reflect-metadata',
  'undici',
  'yaml',
];

if (import.meta.filename === process.argv[1]) await bundle();

async function bundle() {
  rmSync('dist/bundle', { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: { main: 'dist/cli/main.js' },
    outdir: 'dist/bundle',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: EXTERNAL_PACKAGES,
    // CommonJS packages inside the bundle still ask for Node's modules by `require`.
    banner: {
      js: "import { createRequire as requireIn } from 'node:module'; const require = requireIn(import.meta.url);",
    },
    chunkNames: '[name]-[hash]',
    metafile: true,
    logLevel: 'warning',
  });
  writeFileSync('dist/bundle.meta.json', JSON.stringify(metafile));
}
