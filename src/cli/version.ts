import { readFileSync } from 'node:fs';

/** Version of this program, from `package.json`. */
export function programVersion(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  // Our own file: it has a version.
  return (JSON.parse(file) as { readonly version: string }).version;
}

/** What the launcher says of itself to a control plane; git facts are not known at run time. */
export function launcherVersion() {
  const version = programVersion();
  return { version, gitTag: `v${version}`, gitCommit: 'unknown', buildDate: 'unknown' };
}
