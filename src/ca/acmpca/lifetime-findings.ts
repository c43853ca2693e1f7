import type { BackendConfig, RehearsalFinding } from '../backend.ts';
import type { KnownAuthority } from './known-authority.ts';
import { SHORT_LIVED_MS } from './validity.ts';

/** What leaves of this CA cannot be, though the Mesh wants them so: they would be shorter, and more of them would be paid. `path` is `mtls.backends[i].conf`. Pure. */
export function lifetimeFindings(
  { anchors, shortLived }: Pick<KnownAuthority, 'anchors' | 'shortLived'>,
  { leafLifetimeMs = 0, conf }: Pick<BackendConfig, 'leafLifetimeMs' | 'conf'>,
  path: string,
  now: number,
): readonly RehearsalFinding[] {
  const field = path.replace(/conf$/, 'dpCert.rotation.expiration');
  if (shortLived && leafLifetimeMs > SHORT_LIVED_MS) {
    return [{ field, message: 'has to be 7d at most: the CA is in short-lived mode (SHORT_LIVED_CERTIFICATE)' }];
  }
  if (anchors.notAfter - now >= leafLifetimeMs) return [];
  const end = new Date(anchors.notAfter).toISOString();
  return [
    {
      field,
      message: `is longer than the CA ${String(conf['arn'])} lives, which ends at ${end}; renew its certificate`,
    },
  ];
}
