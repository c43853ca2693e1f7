import { Gauge, type Metrics } from '../lib/metrics.ts';
import { readNode } from '../x509/certificate.ts';
import { parseCertificates } from '../x509/chain.ts';

/**
 * When the certificates of the control plane itself end, those it shows to proxies, people and Envoy's admin port. `certificates` gives PEM by name and
 * is asked at each scrape; of a chain the one that ends first counts.
 */
export function createOwnCertificateMetrics(
  registry: Metrics,
  now: () => number,
  certificates: () => Readonly<Record<string, string>>,
): void {
  const registers = [registry];
  new Gauge({
    name: 'weft_control_plane_certificate_expiry_timestamp_seconds',
    help: 'When a certificate of the control plane itself ends, seconds since the epoch',
    labelNames: ['certificate'],
    registers,
    // The first of the two reads for both.
    collect() {
      for (const [certificate, pem] of Object.entries(certificates())) {
        const end = Math.min(...parseCertificates(pem).map((der) => readNode(der).validToDate.getTime()));
        this.set({ certificate }, end / 1000);
        left.set({ certificate }, (end - now()) / 1000);
      }
    },
  });
  const left = new Gauge({
    name: 'weft_control_plane_certificate_expiry_seconds_left',
    help: 'Seconds until a certificate of the control plane itself ends; negative when it has ended',
    labelNames: ['certificate'],
    registers,
  });
}
