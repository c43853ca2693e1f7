import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { VERSION } from '../control-plane/version.ts';
import { crds } from '../k8s/api/crds.ts';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from '../resources/kinds/index.ts';
import { chartFiles } from './chart.ts';
import { printHelmTemplate } from './helm-template.ts';
import { each, ITEM, itemsOf, KEY, NAMESPACE, text, type ValueHole, whenSet, withEntries } from './template.ts';

const CHART = join(import.meta.dirname, '../../deploy/helm/weft');

it('is the chart in deploy/helm/weft; run node scripts/generate-chart.ts', () => {
  const printed = chartFiles({ version: VERSION, crds: crds([...coreKinds, ...policyKinds]) });
  const stored = readdirSync(CHART, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(CHART.length + 1));
  expect([...printed.keys()].sort()).toEqual(stored.sort());
  for (const [path, wanted] of printed) expect(readFileSync(join(CHART, path), 'utf8'), path).toBe(wanted);
});

it('prints holes in the language of Helm', () => {
  const value = (path: string, shape: ValueHole['shape']): ValueHole => ({ $: 'value', path, shape });
  const template = whenSet(value('on', 'scalar'), {
    kind: 'X',
    name: text`100% ${NAMESPACE}.svc`,
    braces: 'a {{ b }}',
    labels: withEntries({ app: 'x' }, value('a', 'map'), value('b', 'map')),
    env: [each(value('env', 'map'), { name: KEY, value: ITEM }), itemsOf(value('more', 'list'))],
    resources: value('resources', 'map'),
    none: [],
    affinity: whenSet(value('affinity', 'map'), value('affinity', 'map')),
  });
  expect(printHelmTemplate(template)).toBe(`{{- if .Values.on }}
kind: X
name: {{ printf "100%% %v.svc" .Release.Namespace | toJson }}
braces: a {{ "{{" }} b }}
labels:
  app: x
  {{- with omit (merge (dict) .Values.b .Values.a) "app" }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- range $key, $item := .Values.env }}
  - name: {{ $key | toJson }}
    value: {{ $item | toJson }}
  {{- end }}
  {{- with .Values.more }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
none: []
{{- if .Values.affinity }}
affinity:
  {{- toYaml .Values.affinity | nindent 2 }}
{{- end }}
{{- end }}
`);
});
