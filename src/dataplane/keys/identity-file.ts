import { messageOf } from '../error.ts';
import { fs } from '../node.ts';
import { keyPem, type OwnKey, readKey } from './own-key.ts';
import type { ServedLeaf } from './served-leaf.ts';

/** What a launcher has of its proxy's identity. */
export interface KeptIdentity {
  /** What Envoy presents. */
  readonly leaf: ServedLeaf | undefined;
  /** A key that a CSR was made with and no certificate came for yet. */
  readonly next: OwnKey | undefined;
}

export const NOTHING_KEPT: KeptIdentity = { leaf: undefined, next: undefined };

interface FileContent {
  /** `<mesh>.<name>`: a folder may get another proxy. */
  readonly proxy: string;
  readonly leaf?: {
    readonly keyPem: string;
    readonly serial: string;
    readonly chainPem: string;
    readonly anchorPem: string;
  };
  readonly nextKeyPem?: string;
}

/** Replaces the file as a whole, mode 0600. Throws the system's error. */
export function saveIdentity(path: string, proxy: string, { leaf, next }: KeptIdentity): void {
  const content: FileContent = {
    proxy,
    ...(leaf && {
      leaf: { keyPem: keyPem(leaf.key), serial: leaf.serial, chainPem: leaf.chainPem, anchorPem: leaf.anchorPem },
    }),
    ...(next && { nextKeyPem: keyPem(next) }),
  };
  const fresh = `${path}.new`;
  fs.rmSync(fresh, { force: true });
  fs.writeFileSync(fresh, JSON.stringify(content), { mode: 0o600, flag: 'wx' });
  fs.renameSync(fresh, path);
}

/** What a former launcher of the same proxy left. A file that can't be used is as good as none; `report` is told why. */
export function loadIdentity(path: string, proxy: string, report: (reason: string) => void): KeptIdentity {
  try {
    if (!fs.existsSync(path)) return NOTHING_KEPT;
    const content = JSON.parse(fs.readFileSync(path, 'utf8')) as FileContent;
    if (content.proxy !== proxy) {
      report('it is of another proxy');
      return NOTHING_KEPT;
    }
    return {
      leaf: content.leaf && {
        key: readKey(content.leaf.keyPem),
        serial: content.leaf.serial,
        chainPem: content.leaf.chainPem,
        anchorPem: content.leaf.anchorPem,
      },
      next: content.nextKeyPem === undefined ? undefined : readKey(content.nextKeyPem),
    };
  } catch (error) {
    // A parser's message may show what it read.
    report(error instanceof SyntaxError ? 'it is not JSON' : messageOf(error));
    return NOTHING_KEPT;
  }
}
