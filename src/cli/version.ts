import { VERSION } from '../control-plane/version.ts';

/** What the launcher says of itself to a control plane; git facts are not known at run time. */
export function launcherVersion() {
  return { version: VERSION, gitTag: `v${VERSION}`, gitCommit: 'unknown', buildDate: 'unknown' };
}
