import { CaError } from './backend.ts';
import { isDnsName } from './conf.ts';
import type { NameTemplate } from './name-template.ts';

/** Names of one certificate besides its URIs. */
export interface RenderedNames {
  readonly commonName: string | undefined;
  readonly dnsNames: readonly string[];
}

/** Source: RFC 5280, appendix A, `ub-common-name`. */
const LONGEST_COMMON_NAME = 64;

/**
 * `commonName` and `dnsNames` of `conf` for the proxy whose tags are in `uriSans` (`kuma://<tag>/<value>`, the first value of a tag counts).
 * Throws `CaError` `invalid-request` when a name cannot be one. Pure.
 */
export function renderNames(
  conf: { readonly commonName: NameTemplate | undefined; readonly dnsNames?: readonly NameTemplate[] },
  uriSans: readonly string[],
  subject: { readonly mesh: string; readonly backend: string },
): RenderedNames {
  const tags = tagsOf(uriSans);
  const refuse = (field: string, why: string): never => {
    throw new CaError('invalid-request', `backend "${subject.backend}" of mesh ${subject.mesh}: ${field} ${why}`, {
      reason: 'InvalidName',
    });
  };
  const commonName = conf.commonName?.render(tags).trim() || undefined;
  if (commonName !== undefined && commonName.length > LONGEST_COMMON_NAME) {
    refuse('commonName', `gives "${commonName}", which is longer than ${LONGEST_COMMON_NAME} characters`);
  }
  const dnsNames = (conf.dnsNames ?? []).map((template, index) => {
    const name = template.render(tags).trim().toLowerCase();
    const plain = name.startsWith('*.') ? name.slice(2) : name;
    if (!isDnsName(plain)) refuse(`dnsNames[${index}]`, `gives "${name.slice(0, 100)}", which is no DNS name`);
    return name;
  });
  return { commonName, dnsNames: [...new Set(dnsNames)] };
}

function tagsOf(uriSans: readonly string[]): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const uri of uriSans) {
    if (!uri.startsWith('kuma://')) continue;
    const path = uri.slice('kuma://'.length);
    const slash = path.lastIndexOf('/');
    const tag = path.slice(0, slash);
    if (slash > 0 && !tags.has(tag)) tags.set(tag, path.slice(slash + 1));
  }
  return tags;
}
