import { controlPlanePermissions } from '../../install/permissions.ts';
import type { Right } from './rights.ts';

/** What `weft check` reads in a cluster. */
export function callerRights(namespace: string): readonly Right[] {
  const list = (group: string, resource: string, where?: string): Right => ({
    verb: 'list',
    group,
    resource,
    ...(where === undefined ? {} : { namespace: where }),
  });
  const get = (group: string, resource: string, where?: string): Right => ({
    ...list(group, resource, where),
    verb: 'get',
  });
  return [
    list('kuma.io', 'meshes'),
    list('kuma.io', 'dataplanes'),
    list('kuma.io', 'dataplaneinsights'),
    get('apiextensions.k8s.io', 'customresourcedefinitions'),
    get('admissionregistration.k8s.io', 'mutatingwebhookconfigurations'),
    get('admissionregistration.k8s.io', 'validatingwebhookconfigurations'),
    get('apps', 'deployments', namespace),
    list('apps', 'deployments'),
    list('coordination.k8s.io', 'leases', 'kube-node-lease'),
    { verb: 'create', group: 'authorization.k8s.io', resource: 'subjectaccessreviews' },
  ];
}

/**
 * The rights of the installation: of each rule every verb on one resource, and every resource with one verb. A rule comes and goes as a whole, so
 * that shows a missing rule, an older one without a new kind, and a missing verb, with half of the questions.
 */
export function controlPlaneRights(namespace: string): readonly Right[] {
  return controlPlanePermissions().flatMap(({ scope, group, resources, names, verbs }) =>
    resources.flatMap((resource, row) =>
      verbs
        .filter((_, column) => row === 0 || column === 0)
        .flatMap((verb) =>
          (names ?? [undefined]).map((name) => ({
            verb,
            group,
            resource,
            ...(scope === 'system' ? { namespace } : {}),
            ...(name === undefined ? {} : { name }),
          })),
        ),
    ),
  );
}

/** What it must not be allowed: any Secret of the cluster, and those of cert-manager. */
export function excessiveRights(): readonly Right[] {
  const secrets = { group: '', resource: 'secrets' };
  return [
    { verb: 'get', ...secrets },
    { verb: 'list', ...secrets },
    { verb: 'get', ...secrets, namespace: 'cert-manager' },
    { verb: 'get', ...secrets, namespace: 'default' },
  ];
}
