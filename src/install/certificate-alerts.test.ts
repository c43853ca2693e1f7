import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ALERTS_GUIDE, CERTIFICATE_ALERTS, certificateAlertsFile } from './certificate-alerts.ts';
import { certificateDashboard } from './certificate-dashboard.ts';

const read = (file: string) => readFileSync(join(import.meta.dirname, '../..', file), 'utf8');

it('is what is in deploy/; run node scripts/generate-chart.ts', () => {
  expect(read('deploy/prometheus/weft-alerts.yaml')).toBe(certificateAlertsFile());
  expect(read('deploy/grafana/certificates.json')).toBe(certificateDashboard());
});

it.each(CERTIFICATE_ALERTS)('$alert is explained, and tested with promtool', ({ alert }) => {
  expect(read(ALERTS_GUIDE)).toContain(`\n### ${alert}\n`);
  expect(read('deploy/prometheus/weft-alerts.test.yaml')).toContain(`#${alert.toLowerCase()}`);
});
