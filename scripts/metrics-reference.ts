import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { MOST_SERVICES, OTHER_SERVICES } from '../src/identity/expiry-survey.ts';

/** A metric as a source file declares it. */
export interface DeclaredMetric {
  readonly name: string;
  readonly type: 'Counter' | 'Gauge' | 'Histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Folder of `src/`, such as `identity` or `ca/certmanager`. */
  readonly part: string;
}

const SOURCES = join(import.meta.dirname, '../src');
const DECLARATION = /new (Counter|Gauge|Histogram)(?:<[^>]*>)?\(\{(.*?)registers/gs;

/** Every metric of the control plane, in the order of the folders. Throws on a declaration whose name, help or labels are no literals. */
export function declaredMetrics(): readonly DeclaredMetric[] {
  return readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .sort()
    .flatMap((file) => {
      const text = readFileSync(join(SOURCES, file), 'utf8');
      return [...text.matchAll(DECLARATION)].map(([, type, body = '']) => ({
        name: literal(body, 'name', file),
        type: type as DeclaredMetric['type'],
        help: literal(body, 'help', file),
        labels: [...(/labelNames: \[([^\]]*)\]/s.exec(body)?.[1] ?? '').matchAll(/'([^']+)'/g)].map(
          ([, label]) => label!,
        ),
        part: relative(SOURCES, join(SOURCES, file, '..')),
      }));
    });
}

function literal(body: string, field: string, file: string): string {
  const found = new RegExp(`${field}: (?:'([^']*)'|"([^"]*)")`).exec(body);
  if (found === null)
    throw new Error(`${file}: ${field} of a metric has to be a literal, for docs/reference/metrics.md`);
  return found[1] ?? found[2]!;
}

const INTRODUCTION = `# Metrics of the control plane

<!-- Printed by scripts/generate-docs.ts from the sources that declare them; do not edit. -->

\`GET /metrics\` of the diagnostics port (5680), in Prometheus' text format. Each control plane shows the proxies that are connected to it: sum or take the
minimum over all of them. Names without \`weft_\` are Kuma's, for dashboards that exist. Alerts and a dashboard: [the guide](../guides/certificate-alerts.md).

- **No series is of one proxy.** \`service\` has at most ${MOST_SERVICES} values: services with overdue or expired certificates first, then those with most proxies; all
  others share \`service="${OTHER_SERVICES}"\`, with the earliest end and the sums of theirs. A proxy of two services counts in both. A backend shows at most 16 CA
  certificates, those that end first. Which proxies they are: \`weft check\`, and the Dataplane's insight.
- **\`state\`** is relative to the certificate's own life: \`none\` (there should be one), \`valid\`, \`due\` (its renewal point, at 70 to 80 % of its life, is
  past), \`overdue\` (a tenth of its life later there is still no other one), \`expired\`.
- **Time since something:** \`time() - weft_issuance_last_failure_timestamp_seconds\`.
`;

const TITLES: Readonly<Record<string, string>> = {
  identity: 'Certificates and CAs',
  'ca/certmanager': 'cert-manager',
  'ca/plugin': 'CA plug-ins',
  'control-plane': 'Certificates of the control plane itself',
  'k8s/webhooks': 'Admission webhooks (Kubernetes)',
  lib: 'Process',
  rest: 'API',
  'xds-server': 'xDS',
};

/** `docs/reference/metrics.md`. */
export function metricsReference(): string {
  const metrics = declaredMetrics();
  const parts = [...new Set(metrics.map(({ part }) => part))];
  const order = Object.keys(TITLES);
  parts.sort((a, b) => place(order, a) - place(order, b));
  const sections = parts.flatMap((part) => [
    `## ${TITLES[part] ?? part}`,
    '',
    '| metric | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...metrics.filter((metric) => metric.part === part).map(row),
    '',
  ]);
  return [INTRODUCTION, ...sections].join('\n');
}

function place(order: readonly string[], part: string): number {
  const index = order.indexOf(part);
  return index < 0 ? 2.5 : index;
}

function row({ name, type, labels, help }: DeclaredMetric): string {
  return `| \`${name}\` | ${type.toLowerCase()} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
}
