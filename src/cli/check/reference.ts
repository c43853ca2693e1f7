import { CHECKS, type CheckId, GROUPS, type GroupId } from './catalogue.ts';

/** `docs/reference/checks.md`, printed from the catalogue. */
export function checksReference(): string {
  const ids = Object.keys(CHECKS) as CheckId[];
  return [
    '# What `weft check` looks at',
    '',
    '<!-- Printed by scripts/generate-docs.ts from src/cli/check/catalogue.ts; do not edit. -->',
    '',
    'Ids are stable. `ok`, `warn`, `fail`; `skip` when something could not or need not be looked at, with the reason.',
    '',
    '- **Exit codes:** `0` nothing failed (with `--fail-on warn`: and there is no warning); `1` something did; `2` nothing could be checked:',
    '  the server does not answer, the kubeconfig or the command line is wrong.',
    '- **For programs:** `-o json` or `-o yaml`; the schema is [check-report.schema.json](check-report.schema.json). Fields may be added, none is renamed or removed.',
    '- **Where:** `--environment kubernetes` or `universal`. When not given: Universal if `--cp-address`, `--context` or `--config-file` is; Kubernetes',
    '  if `--kubeconfig`, `--kube-context` or `--namespace` is, or a kubeconfig is found (`KUBECONFIG`, `~/.kube/config`, or inside a Pod); else Universal.',
    '- **Nothing is changed:** the webhook is tried with a dry run. Only `--issue` creates something, a CertificateRequest per issuer, and deletes it.',
    ...(Object.keys(GROUPS) as GroupId[]).flatMap((group) => [
      '',
      `## ${GROUPS[group]}`,
      ...ids.filter((id) => CHECKS[id].group === group).flatMap(sectionOf),
    ]),
    '',
  ].join('\n');
}

function sectionOf(id: CheckId): string[] {
  return ['', `### ${id}`, CHECKS[id].about, '', `**If not:** ${CHECKS[id].bad}`];
}
