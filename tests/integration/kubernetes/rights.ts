import { controlPlanePermissions } from '../../../src/install/permissions.ts';
import type { AuditEvent } from '../../cluster/audit.ts';

/** One right: `system core/secrets get`, `cluster kuma.io/meshes/status patch`. */
export type Right = string;

function rightText(scope: string, group: string, resource: string, verb: string): Right {
  return `${scope} ${group === '' ? 'core' : group}/${resource} ${verb}`;
}

/** Every right the control plane is installed with. */
export function grantedRights(): ReadonlySet<Right> {
  return new Set(
    controlPlanePermissions().flatMap(({ scope, group, resources, verbs }) =>
      resources.flatMap((resource) => verbs.map((verb) => rightText(scope, group, resource, verb))),
    ),
  );
}

export interface RightsUse {
  /** Rights that requests of the user needed and had. */
  readonly used: ReadonlySet<Right>;
  /** Requests of the user that were forbidden: `GET /api/…`. */
  readonly refused: readonly string[];
}

/** What an audit log says of one user. A right of the whole cluster counts when there is one, else that of the system namespace. */
export function rightsUsed(events: readonly AuditEvent[], username: string): RightsUse {
  const granted = grantedRights();
  const used = new Set<Right>();
  const refused: string[] = [];
  for (const { user, verb, objectRef, responseStatus, requestURI } of events) {
    if (user.username !== username) continue;
    if (responseStatus?.code === 403) refused.push(`${verb} ${requestURI}`);
    if (objectRef?.resource === undefined) continue;
    const resource = [objectRef.resource, objectRef.subresource].filter(Boolean).join('/');
    const inCluster = rightText('cluster', objectRef.apiGroup ?? '', resource, verb);
    used.add(granted.has(inCluster) ? inCluster : rightText('system', objectRef.apiGroup ?? '', resource, verb));
  }
  return { used, refused: [...new Set(refused)] };
}
