import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where a plug-in's module is. */
export interface LocatedModule {
  /** What its process imports: a URL, or the name of a package seen from `base`. */
  readonly specifier: string;
  /** URL of a file beside which `specifier` is looked up. */
  readonly base: string;
  /** What its process has to read for that: its package, and each `node_modules` above it. */
  readonly readable: readonly string[];
}

/**
 * Finds the module of the setting `weft.ca.plugins[].module`: a file, the folder of a package, or the name of a package in `node_modules` of `workDir`.
 * Looked for anew at each start of its process. Throws an `Error` that says what is not there.
 */
export function locateModule(module: string, workDir: string): LocatedModule {
  return /^[./]/.test(module) ? locatePath(resolve(module)) : locatePackage(module, workDir);
}

function locatePath(path: string): LocatedModule {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`there is no ${path}`);
  const real = realpathSync(path);
  if (found.isDirectory()) return locateFolder(real);
  const manifest = findPackageJSON(pathToFileURL(real));
  const own = manifest === undefined ? dirname(real) : dirname(manifest);
  return { specifier: pathToFileURL(real).href, base: pathToFileURL(real).href, readable: [own, ...modulesAbove(own)] };
}

/** A package may import itself by its name, when it has `exports`: that way they count for a folder too. */
function locateFolder(folder: string): LocatedModule {
  const manifest = join(folder, 'package.json');
  if (!existsSync(manifest)) throw new Error(`there is no package.json in ${folder}`);
  const { name, exports, main } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, unknown>;
  const specifier =
    typeof name === 'string' && exports !== undefined
      ? name
      : pathToFileURL(join(folder, typeof main === 'string' ? main : 'index.js')).href;
  return { specifier, base: pathToFileURL(manifest).href, readable: [folder, ...modulesAbove(folder)] };
}

function locatePackage(name: string, workDir: string): LocatedModule {
  const base = pathToFileURL(join(workDir, 'plugins')).href;
  const manifest = packageManifest(name, base);
  if (manifest === undefined) {
    throw new Error(`there is no package ${name} for ${workDir}; install it: npm install --prefix ${workDir} ${name}`);
  }
  const folder = dirname(realpathSync(manifest));
  // Not the work directory itself, which holds keys.
  const readable = new Set([folder, ...modulesAbove(folder), ...modulesAbove(workDir)]);
  return { specifier: name, base, readable: [...readable] };
}

function packageManifest(name: string, base: string): string | undefined {
  try {
    return findPackageJSON(name, base);
  } catch {
    return undefined;
  }
}

/** Each `node_modules` at `folder` and above, where what a package depends on may be, and the folders that are linked into it. */
function modulesAbove(folder: string): readonly string[] {
  const found: string[] = [];
  for (let at = folder; at !== dirname(at); at = dirname(at)) {
    const modules = basename(at) === 'node_modules' ? at : join(at, 'node_modules');
    if (existsSync(modules)) found.push(modules, ...linkedInto(modules));
  }
  return found;
}

/** Packages of a workspace, and of `npm install ./folder`, are links: Node reads them where they lead. */
function linkedInto(modules: string): readonly string[] {
  const scopes = readdirSync(modules, { withFileTypes: true }).filter((entry) => entry.name.startsWith('@'));
  const folders = [modules, ...scopes.filter((entry) => entry.isDirectory()).map(({ name }) => join(modules, name))];
  return folders.flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isSymbolicLink())
      .map(({ name }) => join(folder, name))
      .filter((link) => existsSync(link))
      .map((link) => realpathSync(link))
      .filter((path) => !path.startsWith(`${modules}/`)),
  );
}
