import type { DataplaneClaims, ProxyType, ZoneClaims } from './claims.ts';
import { AuthError } from './errors.ts';
import type { Tokens } from './tokens.ts';

/** Label whose value may be a proxy's identity [2.14]. */
const WORKLOAD_LABEL = 'kuma.io/workload';

/** Who a proxy says it is, with the credential that must prove it. */
export interface ProxyClaim {
  /** The token without `Bearer `; '' when none was sent. */
  readonly token: string;
  /** '' for zone proxies. */
  readonly mesh: string;
  readonly name: string;
  readonly proxyType: ProxyType;
  /** Every tag of every inbound (or of the gateway) with all its values. Taken from the resource that will be used, not from what the token says. */
  readonly dataplaneTags: ReadonlyMap<string, ReadonlySet<string>>;
  /**
   * The proxy's `kuma.io/workload` label, when it has one. `decidesIdentity`: its certificate is made from it (no `kuma.io/service` tag, or a MeshIdentity
   * that uses it); then only a token bound to that workload will do, or any holder of a mesh token could take any identity (CVE-2026-18677).
   */
  readonly workload?: { readonly label: string; readonly decidesIdentity: boolean };
}

export interface ProxyAuthenticator {
  /**
   * Resolves when the token is good and belongs to this proxy; throws `AuthError` otherwise. Cheap with a warm key cache, so a stream's owner
   * can ask again from time to time: a revoked or expired token then ends a live stream.
   */
  authenticate(proxy: ProxyClaim): Promise<void>;
}

/** Source: Kuma's `dpServer.authn.dpProxy.type` and `zoneProxy.type`. */
export type ProxyAuthMode = 'dpToken' | 'serviceAccountToken' | 'none';

/**
 * Checks data plane or ServiceAccount tokens for sidecars and gateways, zone tokens for ingresses and egresses.
 * `zone` is this control plane's zone name; `zoneMode` is `mode` unless said otherwise.
 */
export function createProxyAuthenticator(options: {
  readonly tokens: Pick<Tokens, 'validateDataplane' | 'validateZone'>;
  readonly mode: ProxyAuthMode;
  readonly zoneMode?: ProxyAuthMode;
  readonly zone?: string;
  /** Asked in mode `serviceAccountToken`; absent: it refuses everybody. */
  readonly serviceAccounts?: ProxyAuthenticator | undefined;
}): ProxyAuthenticator {
  const { tokens, mode, zoneMode = mode, zone = '' } = options;
  return {
    async authenticate(proxy) {
      if ((proxy.proxyType === 'dataplane' ? mode : zoneMode) === 'none') return;
      if (proxy.proxyType === 'dataplane' && mode === 'serviceAccountToken') {
        if (options.serviceAccounts !== undefined) return options.serviceAccounts.authenticate(proxy);
        throw new AuthError('unsupported', 'ServiceAccount tokens are checked on Kubernetes only');
      }
      if (proxy.token === '') {
        throw new AuthError(
          'missing',
          `authenticate proxy ${proxyText(proxy)}: no token; generate one and give it to the proxy`,
        );
      }
      const reason =
        proxy.proxyType === 'dataplane'
          ? dataplaneMismatch(await tokens.validateDataplane(proxy.token, proxy.mesh), proxy)
          : zoneMismatch(await tokens.validateZone(proxy.token), proxy.proxyType, zone);
      if (reason !== undefined) throw new AuthError('not-bound', reason);
    },
  };
}

/** Why these claims don't cover this proxy; `undefined`: they do. Pure. Texts stay close to Kuma's, which its operators search for. */
function dataplaneMismatch(claims: DataplaneClaims, proxy: Omit<ProxyClaim, 'token'>): string | undefined {
  if (claims.name !== undefined && claims.name !== proxy.name) {
    return `proxy name from requestor: ${proxy.name} is different than in token: ${claims.name}`;
  }
  if (claims.mesh !== undefined && claims.mesh !== proxy.mesh) {
    return `proxy mesh from requestor: ${proxy.mesh} is different than in token: ${claims.mesh}`;
  }
  if (claims.type !== undefined && claims.type !== proxy.proxyType) {
    return `proxy type from requestor: ${proxy.proxyType} is different than in token: ${claims.type}`;
  }
  return (
    tagMismatch(claims.tags ?? new Map(), proxy.dataplaneTags) ?? workloadMismatch(claims.workload, proxy.workload)
  );
}

function tagMismatch(
  allowed: ReadonlyMap<string, readonly string[]>,
  given: ReadonlyMap<string, ReadonlySet<string>>,
): string | undefined {
  for (const [tag, values] of allowed) {
    const proxyValues = given.get(tag);
    if (!proxyValues || proxyValues.size === 0) return `dataplane has no tag "${tag}" required by the token`;
    const strange = [...proxyValues].find((value) => !values.includes(value));
    if (strange !== undefined) {
      const list = values.map((value) => `"${value}"`).join(', ');
      return `dataplane contains tag "${tag}" with value "${strange}" which is not allowed with this token. Allowed values in token are [${list}]`;
    }
  }
  return undefined;
}

function workloadMismatch(bound: string | undefined, workload: ProxyClaim['workload']): string | undefined {
  if (bound === undefined) {
    if (!workload?.decidesIdentity) return undefined;
    return `dataplane gets its identity from label "${WORKLOAD_LABEL}" (${workload.label}): the token must be bound to that workload`;
  }
  if (workload === undefined) return `dataplane has no label "${WORKLOAD_LABEL}" required by the token`;
  if (workload.label !== bound) {
    return `workload from requestor: ${workload.label} is different than in token: ${bound}`;
  }
  return undefined;
}

/** Why these claims don't cover a zone proxy of `zone`; `undefined`: they do. Pure. */
function zoneMismatch(claims: ZoneClaims, proxyType: 'ingress' | 'egress', zone: string): string | undefined {
  if (!claims.scope.includes(proxyType)) {
    return `token cannot be used to authenticate zone ${proxyType}: its scope is [${claims.scope.join(', ')}]`;
  }
  if (claims.zone !== undefined && claims.zone !== zone) {
    return `zone from requestor: ${zone} is different than in token: ${claims.zone}`;
  }
  return undefined;
}

function proxyText(proxy: ProxyClaim): string {
  return proxy.mesh === '' ? proxy.name : `${proxy.mesh}/${proxy.name}`;
}
