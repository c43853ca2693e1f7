import { stringify } from 'yaml';
import { z } from 'zod';
import type { KubeObject } from '../k8s/api/object.ts';
import { OLDEST_KUBERNETES } from '../k8s/api/oldest-version.ts';
import { type ChartValueTree, isChartValue, placedValues } from './chart-value.ts';
import { controlPlaneTemplates } from './control-plane.ts';
import { CONTROL_PLANE_VALUES } from './control-plane-values.ts';
import { escapeTemplate, printHelmTemplate } from './helm-template.ts';

export interface ChartOptions {
  readonly version: string;
  /** Our CRDs, in the order they are applied in. */
  readonly crds: readonly KubeObject[];
}

const GENERATED = 'Printed by scripts/generate-chart.ts from src/install; do not edit.';

/** Every file of the Helm chart by its path in it. */
export function chartFiles(options: ChartOptions): ReadonlyMap<string, string> {
  const templates = controlPlaneTemplates().map(({ file, template }): [string, string] => [
    `templates/${file}`,
    printHelmTemplate(template),
  ]);
  return new Map([
    ['Chart.yaml', chartYaml(options.version)],
    ['values.yaml', valuesYaml()],
    ['values.schema.json', `${JSON.stringify(valuesSchema(CONTROL_PLANE_VALUES), null, 2)}\n`],
    ['README.md', readme()],
    ['templates/NOTES.txt', NOTES],
    ...options.crds.map((crd): [string, string] => [`templates/crd-${crd.metadata.name}.yaml`, crdTemplate(crd)]),
    ...templates,
  ]);
}

function chartYaml(version: string): string {
  return `# ${GENERATED}\n${stringify(
    {
      apiVersion: 'v2',
      name: 'weft',
      description:
        'Weft, a service mesh control plane: every Pod gets its certificate, from the CA you choose, and has it rotated.',
      type: 'application',
      version,
      appVersion: version,
      kubeVersion: `>=${OLDEST_KUBERNETES}.0-0`,
    },
    { lineWidth: 0 },
  )}`;
}

function valuesYaml(): string {
  const lines = (tree: ChartValueTree, indent: string): readonly string[] =>
    Object.entries(tree).flatMap(([key, node]) => {
      if (!isChartValue(node)) return [`${indent}${key}:`, ...lines(node, `${indent}  `)];
      const yaml = stringify(
        { [key]: node.default },
        { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' },
      );
      const printed = yaml.trimEnd().split('\n');
      return [`${indent}# ${node.description}`, ...printed.map((line) => `${indent}${line}`)];
    });
  return [`# ${GENERATED}`, ...lines(CONTROL_PLANE_VALUES, ''), ''].join('\n');
}

/** JSON Schema, draft 7: what every Helm understands. All keys are required, since a value taken away with `null` would leave a hole empty. */
function valuesSchema(tree: ChartValueTree): Readonly<Record<string, unknown>> {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the Weft chart',
    ...treeSchema(tree, ''),
  };
}

function treeSchema(tree: ChartValueTree, at: string): Readonly<Record<string, unknown>> {
  const properties = Object.entries(tree).map(([key, node]) => {
    if (!isChartValue(node)) return [key, treeSchema(node, key)];
    const { $schema: _dialect, ...schema } = z.toJSONSchema(node.schema, { target: 'draft-7', io: 'input' });
    return [key, { description: node.description, ...schema, default: node.default }];
  });
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    required: Object.keys(tree),
    // Charts above this one put keys of their own into `global`.
    additionalProperties: at === 'global',
  };
}

/** A CRD is a template, and not in the chart's `crds/`, so that `helm upgrade` brings it up to date. */
function crdTemplate(crd: KubeObject): string {
  const keep = '"helm.sh/resource-policy": keep';
  const { metadata, ...rest } = crd;
  const { annotations, ...meta } = metadata;
  const head = stringify({ apiVersion: rest.apiVersion, kind: rest.kind, metadata: meta }, { lineWidth: 0 });
  const own = stringify(annotations ?? {}, { lineWidth: 0 })
    .trimEnd()
    .split('\n');
  const { apiVersion: _version, kind: _kind, ...body } = rest;
  return [
    '{{- if .Values.crds.enabled }}',
    escapeTemplate(head.trimEnd()),
    ...(annotations === undefined
      ? ['  {{- if .Values.crds.keep }}', '  annotations:', `    ${keep}`, '  {{- end }}']
      : [
          '  annotations:',
          ...own.map((line) => `    ${escapeTemplate(line)}`),
          '    {{- if .Values.crds.keep }}',
          `    ${keep}`,
          '    {{- end }}',
        ]),
    escapeTemplate(stringify(body, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd()),
    '{{- end }}',
    '',
  ].join('\n');
}

const NOTES = `Weft {{ .Chart.AppVersion }} is in namespace {{ .Release.Namespace }}.

See that all is well:     weft check --namespace {{ .Release.Namespace }} --wait 2m
Take a namespace in:      kubectl label namespace NAME kuma.io/sidecar-injection=enabled
Turn on mTLS, with your own cert-manager issuer: docs/guides/cert-manager.md
`;

function readme(): string {
  const rows = placedValues(CONTROL_PLANE_VALUES).map(({ path, value }) => {
    const shown = JSON.stringify(value.default).replaceAll('|', '\\|');
    return `| \`${path}\` | ${value.description.replaceAll('|', '\\|')} | \`${shown}\` |`;
  });
  return `# Helm chart of Weft

<!-- ${GENERATED} -->

\`\`\`sh
helm install weft deploy/helm/weft --namespace kong-mesh-system --create-namespace
helm upgrade weft deploy/helm/weft --namespace kong-mesh-system --reset-then-reuse-values
helm uninstall weft --namespace kong-mesh-system
\`\`\`

- One installation per cluster: its cluster-scoped objects have fixed names.
- \`helm upgrade\` brings the CRDs up to date. \`helm uninstall\` keeps them, and with them every Mesh, policy and Secret, unless \`crds.keep\` is false.
- CRDs that \`weft install crds | kubectl apply -f -\` made: give \`helm install\` \`--take-ownership\`, or set \`crds.enabled=false\` and go on as before.
- Three replicas for high availability: \`--set controlPlane.replicas=3\`.
- What it may do in the cluster, and how to install without Helm: docs/guides/kubernetes-install.md.

## Values

A value that is not in this table, or of another type, is refused by name.

| value | meaning | default |
| --- | --- | --- |
${rows.join('\n')}
`;
}
