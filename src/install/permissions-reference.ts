import { controlPlanePermissions, type Permission } from './permissions.ts';

/** `docs/reference/kubernetes-rights.md`: what the control plane may do at the API server, printed from the table it is installed from. */
export function permissionsReference(): string {
  const permissions = controlPlanePermissions();
  const rows = (scope: Permission['scope']) => [
    '',
    '| group | resources | verbs | for |',
    '| --- | --- | --- | --- |',
    ...permissions.filter((permission) => permission.scope === scope).map(row),
  ];
  return [
    '# What the control plane may do in a cluster',
    '',
    '<!-- Printed by scripts/generate-docs.ts from src/install/permissions.ts; do not edit. -->',
    '',
    'Its ServiceAccount `weft-control-plane` has these rights and no others. No rule has a `*`. No Secret outside the system namespace can be read;',
    'in it, Secrets are listed and watched by the types of the mesh only, so a CA that cert-manager keeps there is never asked for.',
    'It may ask cert-manager for certificates, and neither approve nor sign any.',
    '',
    '## In the whole cluster (ClusterRole `weft-control-plane`)',
    ...rows('cluster'),
    '',
    '## In the system namespace (Role `weft-control-plane`)',
    ...rows('system'),
    '',
  ].join('\n');
}

function row({ group, resources, names, verbs, use }: Permission): string {
  const words = (list: readonly string[]) => list.map((word) => `\`${word}\``).join(', ');
  const only = names === undefined ? '' : `, only ${words(names)}`;
  return `| ${group === '' ? 'core' : `\`${group}\``} | ${words(resources)}${only} | ${words(verbs)} | ${use} |`;
}
