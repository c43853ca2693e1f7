/** Route configurations; all of them are part of their listener. Source: Kuma 2.11 `pkg/xds/envoy/routes`, `virtualhosts`. */
import { createHash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RouteSchema } from '@weft/protos/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfigurationSchema } from '@weft/protos/envoy/config/route/v3/route_pb.js';
import { INBOUND_TIMEOUTS, OUTBOUND_TIMEOUTS, seconds } from './duration.ts';
import { inboundRouteName, outboundRouteName } from './names.ts';

export type RouteConfigurationInit = MessageInitShape<typeof RouteConfigurationSchema>;
type RouteInit = MessageInitShape<typeof RouteSchema>;

/** Everything to the application. Tags that a client claims in a header are dropped. */
export function inboundRoutes(service: string, cluster: string): RouteConfigurationInit {
  return {
    name: inboundRouteName(service),
    validateClusters: false,
    requestHeadersToRemove: ['x-kuma-tags'],
    virtualHosts: [
      {
        name: service,
        domains: ['*'],
        routes: [
          prefixRoute('', '/', cluster, {
            timeout: seconds(INBOUND_TIMEOUTS.requestS),
            idleTimeout: seconds(INBOUND_TIMEOUTS.streamIdleS),
          }),
        ],
      },
    ],
  };
}

/** Everything to one cluster. */
export function outboundRoutes(service: string, cluster: string): RouteConfigurationInit {
  return {
    name: outboundRouteName(service),
    validateClusters: false,
    virtualHosts: [
      {
        name: service,
        domains: ['*'],
        routes: [
          prefixRoute(CATCH_ALL, '/', cluster, {
            timeout: seconds(OUTBOUND_TIMEOUTS.requestS),
            idleTimeout: seconds(OUTBOUND_TIMEOUTS.streamIdleS),
          }),
        ],
      },
    ],
  };
}

/** One path to a cluster. */
export interface StaticPath {
  readonly path: string;
  readonly cluster: string;
  /** Path that the cluster sees; absent: the same. */
  readonly rewrite?: string;
  readonly onlyGet?: boolean;
}

/** A few fixed paths; everything else is 404. */
export function staticRoutes(name: string, virtualHost: string, paths: readonly RouteInit[]): RouteConfigurationInit {
  return {
    name,
    validateClusters: false,
    virtualHosts: [{ name: virtualHost, domains: ['*'], routes: [...paths] }],
  };
}

export function exactRoute({ path, cluster, rewrite, onlyGet }: StaticPath): RouteInit {
  return {
    match: { pathSpecifier: { case: 'path', value: path }, ...(onlyGet === true && { headers: [getOnly()] }) },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: cluster },
        ...(rewrite !== undefined && { prefixRewrite: rewrite }),
      },
    },
  };
}

/** Sends a GET of `path` to another port of the same host. */
export function redirectRoute(path: string, port: number, newPath: string): RouteInit {
  return {
    match: { pathSpecifier: { case: 'path', value: path }, headers: [getOnly()] },
    action: {
      case: 'redirect',
      value: { portRedirect: port, pathRewriteSpecifier: { case: 'pathRedirect', value: newPath } },
    },
  };
}

export function prefixRoute(
  name: string,
  prefix: string,
  cluster: string,
  action: { timeout?: ReturnType<typeof seconds>; idleTimeout?: ReturnType<typeof seconds> } = {},
): RouteInit {
  return {
    name,
    match: { pathSpecifier: { case: 'prefix', value: prefix } },
    action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster }, ...action } },
  };
}

/** Name of a route is the hash of its matches. Source: compatibility reference 5.2, `_rules`. */
function matchesHash(matches: readonly { readonly path: { readonly value: string; readonly type: string } }[]): string {
  return createHash('sha256').update(JSON.stringify(matches)).digest('base64');
}

const CATCH_ALL = matchesHash([{ path: { value: '/', type: 'PathPrefix' } }]);

function getOnly(): {
  name: string;
  headerMatchSpecifier: { case: 'stringMatch'; value: { matchPattern: { case: 'exact'; value: string } } };
} {
  return {
    name: ':method',
    headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: 'GET' } } },
  };
}
