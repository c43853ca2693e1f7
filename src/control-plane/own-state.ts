import type { SecretReader } from '../auth/secrets.ts';
import { isKid, keyLocation, type TokenKind } from '../auth/signing-keys.ts';
import type { TokenSettings } from '../auth/tokens.ts';
import type { OwnState, SigningKeys } from '../rest/own-state-routes.ts';
import { readNode } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';

/** What this control plane stands on itself, for the API. `certificates`: PEM by name; of a chain the one that ends first counts. */
export function createOwnState(options: {
  certificates: () => Readonly<Record<string, string>>;
  secrets: Pick<SecretReader, 'listSecretNames'>;
  tokenSettings: Readonly<Record<TokenKind, TokenSettings>>;
}): OwnState {
  async function keysOf(kind: TokenKind, mesh: string): Promise<SigningKeys> {
    const { prefix } = keyLocation(kind, mesh);
    const names = await options.secrets.listSecretNames(mesh, prefix);
    const kids = names.map((name) => name.slice(prefix.length + 1)).filter(isKid);
    return {
      kind,
      mesh,
      kids: kids.sort((a, b) => Number(a) - Number(b)),
      needed: options.tokenSettings[kind].enableIssuer,
    };
  }

  return {
    certificates: () =>
      Object.entries(options.certificates()).map(([name, pem]) => {
        const nodes = parseCertificates(pem).map(readNode);
        const first = nodes.reduce((a, b) => (b.validToDate < a.validToDate ? b : a));
        return {
          name,
          subject: first.subject.split('\n').reverse().join(','),
          notBefore: first.validFromDate.getTime(),
          notAfter: first.validToDate.getTime(),
        };
      }),
    signingKeys: (meshes) =>
      Promise.all([keysOf('user', ''), keysOf('zone', ''), ...meshes.map((mesh) => keysOf('dataplane', mesh))]),
  };
}
