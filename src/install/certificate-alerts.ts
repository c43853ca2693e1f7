import { stringify } from 'yaml';
import type { Template } from './template.ts';

/** One alert for Prometheus. Texts are Prometheus templates: `{{ $labels.mesh }}`. */
export interface CertificateAlert {
  readonly alert: string;
  readonly expr: string;
  /** How long it must be so, a Prometheus duration. */
  readonly for: string;
  /** `critical`: connections fail now, or will before anybody looks by chance. */
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
}

/** Thresholds are shares of a certificate's life where it renews by itself, and those of `weft check` where people change it. */
export const CERTIFICATE_ALERTS: readonly CertificateAlert[] = [
  {
    alert: 'WeftCertificateExpired',
    expr: 'sum by (mesh, service, backend) (weft_certificates{state="expired"}) > 0',
    for: '0m',
    severity: 'critical',
    summary:
      '{{ $value }} proxies of service {{ $labels.service }} in mesh {{ $labels.mesh }} present an expired certificate: their connections are refused.',
  },
  {
    alert: 'WeftCertificateOverdue',
    expr: 'sum by (mesh, service, backend) (weft_certificates{state="overdue"}) > 0',
    for: '2m',
    severity: 'critical',
    summary:
      '{{ $value }} proxies of service {{ $labels.service }} in mesh {{ $labels.mesh }} should have had a new certificate from {{ $labels.backend }} by now; less than 20 % of the life of the old one is left.',
  },
  {
    alert: 'WeftCertificateMissing',
    expr: 'sum by (mesh, service, backend) (weft_certificates{state="none"}) > 0',
    for: '10m',
    severity: 'warning',
    summary:
      '{{ $value }} proxies of service {{ $labels.service }} in mesh {{ $labels.mesh }} have waited 10 minutes for their first certificate from {{ $labels.backend }}.',
  },
  {
    alert: 'WeftIssuanceFailing',
    expr: 'max by (mesh, backend) (weft_issuance_oldest_failure_seconds) > 900',
    for: '1m',
    severity: 'warning',
    summary:
      'For {{ $value | humanizeDuration }} CA backend {{ $labels.backend }} of mesh {{ $labels.mesh }} has not issued a certificate that a proxy asks for.',
  },
  {
    alert: 'WeftIssuerLeftAlone',
    expr: 'max(cert_generation_circuit_open) > 0',
    for: '5m',
    severity: 'warning',
    summary: '{{ $value }} CA backends fail for so many proxies that they are asked by one at a time only.',
  },
  {
    alert: 'WeftCaBackendNotReady',
    expr: 'min by (mesh, backend) (weft_ca_backend_ready{enabled="true"}) == 0',
    for: '10m',
    severity: 'warning',
    summary: 'CA backend {{ $labels.backend }} of mesh {{ $labels.mesh }} has not been ready for 10 minutes.',
  },
  {
    alert: 'WeftCaEndsSoon',
    expr: [
      'min by (mesh, backend, fingerprint) (weft_ca_expiry_seconds_left{current="true"}) < 30 * 86400',
      'and min by (mesh, backend, fingerprint) (weft_ca_expiry_seconds_left / weft_ca_lifetime_seconds) < 0.1',
    ].join('\n'),
    for: '15m',
    severity: 'warning',
    summary:
      'The CA of backend {{ $labels.backend }} in mesh {{ $labels.mesh }} ends in {{ $value | humanizeDuration }}; no certificate lives longer than it.',
  },
  {
    alert: 'WeftCaEndsVerySoon',
    expr: [
      'min by (mesh, backend, fingerprint) (weft_ca_expiry_seconds_left{current="true"}) < 7 * 86400',
      'and min by (mesh, backend, fingerprint) (weft_ca_expiry_seconds_left / weft_ca_lifetime_seconds) < 0.03',
    ].join('\n'),
    for: '1m',
    severity: 'critical',
    summary:
      'The CA of backend {{ $labels.backend }} in mesh {{ $labels.mesh }} ends in {{ $value | humanizeDuration }}: then nothing in the mesh connects.',
  },
  {
    alert: 'WeftControlPlaneCertificateEndsSoon',
    expr: 'min by (certificate) (weft_control_plane_certificate_expiry_seconds_left) < 7 * 86400',
    for: '15m',
    severity: 'warning',
    summary:
      'Certificate {{ $labels.certificate }} of the control plane itself ends in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'WeftNotScraped',
    expr: 'absent(xds_streams_active)',
    for: '5m',
    severity: 'critical',
    summary: 'Prometheus reads no control plane: none of the alerts about certificates can fire.',
  },
];

/** Where the alerts are explained; each has a section of its name. */
export const ALERTS_GUIDE = 'docs/guides/certificate-alerts.md';

/** The groups of a rule file, and of a PrometheusRule. `runbook` gives `runbook_url` for the section of an alert. */
export function certificateAlertGroups(runbook: (section: string) => Template): readonly Template[] {
  const rules = CERTIFICATE_ALERTS.map(({ alert, expr, for: pending, severity, summary }) => ({
    alert,
    expr,
    for: pending,
    labels: { severity },
    annotations: { summary, runbook_url: runbook(alert.toLowerCase()) },
  }));
  return [{ name: 'weft-certificates', rules }];
}

/** `deploy/prometheus/weft-alerts.yaml`, for `rule_files` of a Prometheus without operator. */
export function certificateAlertsFile(): string {
  const groups = certificateAlertGroups((section) => `${ALERTS_GUIDE}#${section}`);
  return `# Printed by scripts/generate-chart.ts from src/install/certificate-alerts.ts; do not edit.\n${stringify({ groups }, { lineWidth: 0 })}`;
}
