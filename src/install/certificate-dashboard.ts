/** The Grafana dashboard about certificates, `deploy/grafana/certificates.json`. */

interface Query {
  readonly expr: string;
  /** Name of each line, with labels in `{{ }}`. */
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  /** What it shows and what to do about it. */
  readonly description: string;
  readonly type: 'stat' | 'timeseries' | 'table' | 'bargauge';
  /** Grafana's name of a unit: `short`, `s`, `dtdurations`. */
  readonly unit: string;
  /** Of 24 columns. */
  readonly width: number;
  readonly queries: readonly Query[];
  /** Red beyond the first value; `below`: red under it. */
  readonly alarm?: { readonly above: number } | { readonly below: number };
}

interface Row {
  readonly title: string;
  readonly height: number;
  readonly panels: readonly Panel[];
}

const MESH = 'mesh=~"$mesh"';
const DAY = 86_400;

const ROWS: readonly Row[] = [
  {
    title: 'Is anything about to break?',
    height: 4,
    panels: [
      count('Proxies with an expired certificate', 'expired', 'Their connections are refused now.'),
      count(
        'Proxies whose renewal is overdue',
        'overdue',
        'Less than 20 % of the life of their certificate is left and no other has come.',
      ),
      count('Proxies without a certificate', 'none', 'They wait for their first one.'),
      untilEnd(
        'First certificate ends in',
        `min(weft_certificate_expiry_seconds_left{${MESH}})`,
        0,
        'Certificates renew at 70 to 80 % of their life.',
      ),
      untilEnd(
        'First CA ends in',
        `min(weft_ca_expiry_seconds_left{${MESH}, current="true"})`,
        7 * DAY,
        'No certificate lives longer than its CA.',
      ),
      untilEnd(
        'First certificate of the control plane ends in',
        'min(weft_control_plane_certificate_expiry_seconds_left)',
        7 * DAY,
        'Those it shows to proxies, people and the API server.',
      ),
    ],
  },
  {
    title: 'Certificates and CAs',
    height: 9,
    panels: [
      lines(
        'Proxies by state of their certificate',
        'Valid, due and renewing, overdue, expired, or none.',
        8,
        'short',
        {
          expr: `sum by (state) (weft_certificates{${MESH}})`,
          legend: '{{state}}',
        },
      ),
      {
        ...lines(
          'Services whose certificates end first',
          'The 15 that end first; `_other` stands for services without a line of their own.',
          8,
          'dtdurations',
          {
            expr: `bottomk(15, min by (mesh, service, backend) (weft_certificate_expiry_seconds_left{${MESH}}))`,
            legend: '{{mesh}} / {{service}} / {{backend}}',
          },
        ),
        type: 'bargauge',
        alarm: { below: 0 },
      },
      {
        ...lines(
          'CAs that proxies trust',
          'A CA that is not `current` is trusted until the last certificate under it is gone.',
          8,
          'dtdurations',
          {
            expr: `min by (mesh, backend, fingerprint, current) (weft_ca_expiry_seconds_left{${MESH}})`,
            legend: '{{mesh}} / {{backend}}',
          },
        ),
        type: 'table',
        alarm: { below: 7 * DAY },
      },
    ],
  },
  {
    title: 'Issuing',
    height: 8,
    panels: [
      lines('Certificates issued per minute', 'By mesh.', 8, 'short', {
        expr: `60 * sum by (mesh) (rate(cert_generation{${MESH}}[$__rate_interval]))`,
        legend: '{{mesh}}',
      }),
      lines('Failed attempts per minute, by reason', 'Reasons: docs/reference/metrics.md.', 8, 'short', {
        expr: '60 * sum by (code) (rate(weft_issuance_failures[$__rate_interval]))',
        legend: '{{code}}',
      }),
      lines(
        'Time a CA takes for a certificate',
        'Half of them are faster than the first line, 95 % than the second.',
        8,
        's',
        quantile(0.5, 'half'),
        quantile(0.95, '95 %'),
      ),
      lines('Proxies whose last attempt failed', 'They keep the certificate they have.', 8, 'short', {
        expr: `sum by (mesh, backend) (weft_issuance_failing_proxies{${MESH}})`,
        legend: '{{mesh}} / {{backend}}',
      }),
      lines('Longest wait of a proxy that sees only failures', 'Zero when nobody waits.', 8, 's', {
        expr: `max by (mesh, backend) (weft_issuance_oldest_failure_seconds{${MESH}})`,
        legend: '{{mesh}} / {{backend}}',
      }),
      lines('Since the last failed attempt', 'Nothing when none has failed since the start.', 8, 'dtdurations', {
        expr: `min by (mesh, backend) (time() - weft_issuance_last_failure_timestamp_seconds{${MESH}})`,
        legend: '{{mesh}} / {{backend}}',
      }),
      lines('CA backends that are ready', '1: it says what to trust, and nothing it was asked fails.', 8, 'short', {
        expr: `min by (mesh, backend) (weft_ca_backend_ready{${MESH}})`,
        legend: '{{mesh}} / {{backend}}',
      }),
      lines(
        'CA backends left alone after failures',
        'They are asked by one proxy at a time until one succeeds.',
        8,
        'short',
        {
          expr: 'max(cert_generation_circuit_open)',
          legend: 'backends',
        },
      ),
      lines('Certificates in the queue', 'Asked for and not begun.', 8, 'short', {
        expr: 'sum(weft_issuance_queue_waiting)',
        legend: 'waiting',
      }),
    ],
  },
];

/** Every query with the title of its panel, as Grafana would send it but for its variables. */
export function dashboardQueries(): readonly { readonly title: string; readonly expr: string }[] {
  return ROWS.flatMap(({ panels }) =>
    panels.flatMap(({ title, queries }) => queries.map(({ expr }) => ({ title, expr }))),
  );
}

/** The file for Grafana's "Import dashboard". */
export function certificateDashboard(): string {
  let y = 0;
  let id = 0;
  const panels = ROWS.flatMap(({ title, height, panels: inRow }) => {
    id += 1;
    const header = { id, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] };
    y += 1;
    let x = 0;
    const placed = inRow.map((panel) => {
      if (x + panel.width > 24) {
        x = 0;
        y += height;
      }
      id += 1;
      const made = panelJson(panel, id, { x, y, w: panel.width, h: height });
      x += panel.width;
      return made;
    });
    y += height;
    return [header, ...placed];
  });
  const dashboard = {
    uid: 'weft-certificates',
    title: 'Weft: certificates',
    description: 'Printed by scripts/generate-chart.ts from src/install/certificate-dashboard.ts; do not edit.',
    tags: ['weft', 'mtls'],
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' },
        {
          name: 'mesh',
          label: 'Mesh',
          type: 'query',
          datasource: DATASOURCE,
          query: { query: 'label_values(weft_ca_backend_ready, mesh)', refId: 'mesh' },
          refresh: 2,
          includeAll: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        },
      ],
    },
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

function panelJson(panel: Panel, id: number, gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>) {
  const { title, description, type, unit, queries, alarm } = panel;
  // A series over time is asked for only where time is an axis.
  const instant = type !== 'timeseries';
  return {
    id,
    type,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: {
      defaults: { unit, ...(alarm === undefined ? {} : { thresholds: thresholds(alarm) }) },
      overrides: [],
    },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      instant,
      range: !instant,
      ...(type === 'table' ? { format: 'table' } : {}),
    })),
  };
}

function thresholds(alarm: NonNullable<Panel['alarm']>) {
  const steps =
    'above' in alarm
      ? [
          { color: 'green', value: null },
          { color: 'red', value: alarm.above },
        ]
      : [
          { color: 'red', value: null },
          { color: 'green', value: alarm.below },
        ];
  return { mode: 'absolute', steps };
}

function count(title: string, state: string, description: string): Panel {
  const query = { expr: `sum(weft_certificates{${MESH}, state="${state}"})`, legend: state };
  return { title, description, type: 'stat', unit: 'short', width: 4, queries: [query], alarm: { above: 1 } };
}

function untilEnd(title: string, expr: string, below: number, description: string): Panel {
  const queries = [{ expr, legend: 'left' }];
  return { title, description, type: 'stat', unit: 'dtdurations', width: 4, queries, alarm: { below } };
}

function lines(title: string, description: string, width: number, unit: string, ...queries: readonly Query[]): Panel {
  return { title, description, type: 'timeseries', unit, width, queries };
}

function quantile(share: number, name: string): Query {
  return {
    expr: `histogram_quantile(${share}, sum by (le, backend_name) (rate(ca_manager_get_cert_bucket[$__rate_interval])))`,
    legend: `{{backend_name}}, ${name}`,
  };
}
