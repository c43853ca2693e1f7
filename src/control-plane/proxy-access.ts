import { AuthError, AuthUnavailableError } from '../auth/errors.ts';
import type { ProxyAuthenticator } from '../auth/proxy.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { AuthenticateProxy } from '../push/xds-source.ts';
import { type DataplaneSpec, tagSetsOf, tagValuesOf } from '../resources/kinds/dataplane.ts';
import { membershipProblem } from '../resources/membership.ts';
import type { Resource } from '../resources/resource.ts';
import { XdsError } from '../xds-server/xds.ts';

/**
 * Whether a proxy may be the Dataplane it says it is: its token is good and bound to it (kuma-compat 4.2), its Mesh exists and takes it as a member (1.4).
 * The one place where authentication errors become gRPC statuses.
 */
export function createProxyAccess(options: {
  authenticator: ProxyAuthenticator;
  snapshot: (mesh: string) => MeshSnapshot | undefined;
}): AuthenticateProxy {
  return async ({ token, node, dataplane }) => {
    const { mesh, name } = node.key;
    try {
      await options.authenticator.authenticate({
        token: token.replace(/^bearer +/i, ''),
        mesh,
        name,
        proxyType: node.proxyType,
        dataplaneTags: tagValuesOf(dataplane.spec),
        ...workloadOf(dataplane),
      });
    } catch (cause) {
      if (cause instanceof AuthError) {
        throw new XdsError(cause.code === 'not-bound' ? 'permission-denied' : 'unauthenticated', cause.message, {
          cause,
        });
      }
      const reason =
        cause instanceof AuthUnavailableError
          ? cause.message
          : `authenticate proxy ${mesh}.${name}: the store did not answer`;
      throw new XdsError('unavailable', reason, { cause });
    }
    const spec = options.snapshot(mesh)?.mesh?.spec;
    if (spec === undefined)
      throw new XdsError('not-found', `serve proxy ${mesh}.${name}: mesh "${mesh}" does not exist; create it first`);
    const problem = membershipProblem(mesh, spec, dataplane.spec);
    if (problem !== undefined) throw new XdsError('permission-denied', problem);
  };
}

function workloadOf(dataplane: Resource<DataplaneSpec>): { workload?: { label: string; decidesIdentity: boolean } } {
  const label = dataplane.meta.labels['kuma.io/workload'];
  if (label === undefined) return {};
  const hasService = tagSetsOf(dataplane.spec).some((tags) => tags['kuma.io/service'] !== undefined);
  return { workload: { label, decidesIdentity: !hasService } };
}
