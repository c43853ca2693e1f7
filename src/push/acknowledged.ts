import { fingerprintsOf } from '../identity/fingerprints.ts';
import type { HeldLeaf, TrustBundle } from '../identity/identity.ts';
import type { AcknowledgedSecrets } from '../insights/proxy-events.ts';

/** What a proxy that said yes to this bundle and leaf trusts and presents; the CAs of each bundle are read once. */
export type DescribeSecrets = (bundle: TrustBundle, leaf: HeldLeaf | undefined) => AcknowledgedSecrets;

export function createSecretsDescription(): DescribeSecrets {
  const rootsOf = new WeakMap<TrustBundle, readonly string[]>();
  return (bundle, leaf) => {
    let roots = rootsOf.get(bundle);
    if (roots === undefined) {
      roots = fingerprintsOf(bundle.pem);
      rootsOf.set(bundle, roots);
    }
    return { backends: bundle.backends, roots, leaf: leaf && presented(leaf) };
  };
}

function presented({ serial, backend, anchorPem, notAfter }: HeldLeaf): NonNullable<AcknowledgedSecrets['leaf']> {
  return { serial, backend, root: anchorPem === undefined ? undefined : fingerprintsOf(anchorPem)[0], notAfter };
}
