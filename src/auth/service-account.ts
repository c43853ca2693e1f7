/**
 * Proxies in Pods prove who they are with a ServiceAccount token that the kubelet made for their Pod. Source: compatibility reference 4.2; Kuma
 * 2.11 `xds/auth/k8s` checks namespace and ServiceAccount only, so that any Pod of an account can be any other; here the token is the Pod's own.
 */
import { AuthError, AuthUnavailableError } from './errors.ts';
import type { ProxyAuthenticator, ProxyClaim } from './proxy.ts';
import { createReviewCache, type ReviewToken, type TokenVerdict } from './review-cache.ts';
import { readServiceAccountClaims } from './service-account-claims.ts';

/** The Pod that a Dataplane was made from. */
export interface ProxyPod {
  /** Of the Dataplane. */
  readonly mesh: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** `undefined`: not known. */
  readonly serviceAccount: string | undefined;
}

export interface ServiceAccountAuthOptions {
  readonly review: ReviewToken;
  /** The audience a proxy's token must be meant for. */
  readonly audience: string;
  /** Pod of the named Dataplane. `unknown`: the Dataplane is not in view (yet); `unowned`: it belongs to no Pod. */
  readonly podOf: (name: string) => ProxyPod | 'unknown' | 'unowned';
  /** Tokens that belong to no Pod are good for every Pod of their ServiceAccount, as in Kuma. */
  readonly allowUnbound: boolean;
  /** Epoch ms. */
  readonly now: () => number;
  /** How long a verdict is taken as it is; a minute unless said otherwise. Milliseconds. */
  readonly freshMs?: number;
  readonly maxEntries?: number;
}

const FRESH_MS = 60_000;
const MAX_ENTRIES = 20_000;
const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/**
 * The token must be good at the API server, for our audience, and of the very Pod that owns the Dataplane: name, uid, namespace and ServiceAccount.
 * While the API server is away, a proxy it has vouched for may come back until its token expires (an hour at most); one it has not gets
 * `AuthUnavailableError`. Any doubt about the Pod is `not-bound`.
 */
export function createServiceAccountAuthenticator(options: ServiceAccountAuthOptions): ProxyAuthenticator {
  const { audience, now, allowUnbound } = options;
  const cache = (audiences: readonly string[]) =>
    createReviewCache({
      review: options.review,
      audiences,
      now,
      freshMs: options.freshMs ?? FRESH_MS,
      maxEntries: options.maxEntries ?? MAX_ENTRIES,
    });
  const bound = cache([audience]);
  // Tokens kept in Secrets are meant for the API server, which is what it takes no audience for.
  const unbound = cache([]);

  async function verdictOf(proxy: ProxyClaim, isBound: boolean, expiresAt: number | undefined): Promise<TokenVerdict> {
    try {
      return await (isBound ? bound : unbound).review(proxy.token, expiresAt);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AuthUnavailableError(
        `authenticate proxy ${proxy.mesh}.${proxy.name}: the API server gave no verdict on its token: ${reason}`,
        { cause },
      );
    }
  }

  return {
    async authenticate(proxy) {
      if (proxy.proxyType !== 'dataplane') {
        throw new AuthError('not-bound', `zone ${proxy.proxyType} proxies do not authenticate with a ServiceAccount`);
      }
      if (proxy.token === '') {
        throw new AuthError(
          'missing',
          `authenticate proxy ${proxy.mesh}.${proxy.name}: no token; the sidecar sends the one mounted for audience "${audience}"`,
        );
      }
      const claims = readServiceAccountClaims(proxy.token);
      const isBound = claims.isBoundToPod;
      if (!isBound && !allowUnbound) {
        throw new AuthError(
          'invalid-claims',
          'token belongs to no Pod (is it one kept in a Secret?): the sidecar must send the projected token of its Pod, or the control plane must allow others (weft.kubernetes.allowTokensWithoutPod)',
        );
      }
      if (isBound && !claims.audiences.includes(audience)) {
        throw new AuthError(
          'invalid-claims',
          `token is meant for [${claims.audiences.join(', ')}], not for "${audience}": the sidecar must send the token projected for the control plane`,
        );
      }
      if (claims.expiresAt !== undefined && claims.expiresAt <= now()) {
        throw new AuthError('expired', 'could not parse token: it is expired');
      }
      const verdict = await verdictOf(proxy, isBound, claims.expiresAt);
      if (!verdict.authenticated)
        throw new AuthError('refused', `token is not accepted by the API server: ${verdict.reason}`);
      if (isBound && !verdict.audiences.includes(audience)) {
        throw new AuthError('refused', `the API server does not say that the token is meant for "${audience}"`);
      }
      const pod = options.podOf(proxy.name);
      if (pod === 'unknown') {
        throw new AuthUnavailableError(
          `authenticate proxy ${proxy.mesh}.${proxy.name}: its Dataplane is not known here yet`,
        );
      }
      const reason =
        pod === 'unowned'
          ? `dataplane ${proxy.name} was made from no Pod, so no ServiceAccount token can be its`
          : mismatch(verdict, proxy, pod, isBound);
      if (reason !== undefined) throw new AuthError('not-bound', reason);
    },
  };
}

/** Why this is not the token of this Pod; `undefined`: it is. Pure. */
function mismatch(
  verdict: Extract<TokenVerdict, { authenticated: true }>,
  proxy: ProxyClaim,
  pod: ProxyPod,
  isBound: boolean,
): string | undefined {
  const [, namespace, account] = SERVICE_ACCOUNT.exec(verdict.username) ?? [];
  if (namespace === undefined || account === undefined) return 'token is not one of a ServiceAccount';
  if (pod.mesh !== proxy.mesh) return differs('mesh', proxy.mesh, pod.mesh, 'Dataplane');
  if (namespace !== pod.namespace) return differs('namespace', pod.namespace, namespace);
  if (isBound) {
    if (verdict.pod === undefined) return 'the API server does not say which Pod the token belongs to';
    if (verdict.pod.name !== pod.name) return differs('name', pod.name, verdict.pod.name);
    if (verdict.pod.uid !== pod.uid) return `token belongs to another Pod of the same name: ${pod.name}`;
    return pod.serviceAccount === undefined || account === pod.serviceAccount
      ? undefined
      : differs('service account', pod.serviceAccount, account);
  }
  if (pod.serviceAccount === undefined) return `service account of Pod ${pod.name} is not known`;
  return account === pod.serviceAccount ? undefined : differs('service account', pod.serviceAccount, account);
}

/** Kuma's way to say it, which its operators search for. */
function differs(what: string, wanted: string, got: string, where = 'token'): string {
  return `proxy ${what} from requestor: ${wanted} is different than in ${where}: ${got}`;
}
