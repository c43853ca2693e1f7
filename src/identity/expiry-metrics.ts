import { Gauge, type Metrics } from '../lib/metrics.ts';
import { CERTIFICATE_STATES } from './certificate-state.ts';
import { type Surveyed, surveyExpiry } from './expiry-survey.ts';
import type { BackendTrust } from './identity.ts';

/** What the gauges read at the moment of a scrape. */
export interface ExpirySource extends Surveyed {
  /** Every mesh with mTLS and its listed backends. */
  meshes(): Iterable<readonly [mesh: string, backends: readonly BackendTrust[]]>;
  /** Epoch ms. */
  now(): number;
}

/** So many CA certificates of one backend are shown, those that end first. */
const MOST_CAS = 16;

/**
 * When leaves and CAs end, and who waits for one. Nothing runs between scrapes; a scrape walks the proxies once. Labels are bounded: no series is of one
 * proxy, and services beyond `MOST_SERVICES` share one.
 */
export function createExpiryMetrics(registry: Metrics, source: ExpirySource): void {
  const registers = [registry];
  const states = new Gauge({
    name: 'weft_certificates',
    help: 'Connected proxies by the state of their certificate',
    labelNames: ['mesh', 'service', 'backend', 'state'],
    registers,
    // The first of the gauges: it reads for all of them.
    collect: read,
  });
  const leafEnd = new Gauge({
    name: 'weft_certificate_expiry_timestamp_seconds',
    help: 'When the first certificate of a service ends, seconds since the epoch',
    labelNames: ['mesh', 'service', 'backend'],
    registers,
  });
  const leafLeft = new Gauge({
    name: 'weft_certificate_expiry_seconds_left',
    help: 'Seconds until the first certificate of a service ends; negative when it has ended',
    labelNames: ['mesh', 'service', 'backend'],
    registers,
  });
  const caEnd = new Gauge({
    name: 'weft_ca_expiry_timestamp_seconds',
    help: 'When a trusted CA certificate ends, seconds since the epoch',
    labelNames: ['mesh', 'backend', 'fingerprint', 'current'],
    registers,
  });
  const caLeft = new Gauge({
    name: 'weft_ca_expiry_seconds_left',
    help: 'Seconds until a trusted CA certificate ends; negative when it has ended',
    labelNames: ['mesh', 'backend', 'fingerprint', 'current'],
    registers,
  });
  const caLife = new Gauge({
    name: 'weft_ca_lifetime_seconds',
    help: 'Seconds from begin to end of a trusted CA certificate',
    labelNames: ['mesh', 'backend', 'fingerprint', 'current'],
    registers,
  });
  const ready = new Gauge({
    name: 'weft_ca_backend_ready',
    help: '1 when the backend says what to trust and nothing it was asked fails, else 0',
    labelNames: ['mesh', 'backend', 'enabled'],
    registers,
  });
  const failing = new Gauge({
    name: 'weft_issuance_failing_proxies',
    help: 'Connected proxies whose last issuance failed',
    labelNames: ['mesh', 'backend'],
    registers,
  });
  const oldest = new Gauge({
    name: 'weft_issuance_oldest_failure_seconds',
    help: 'How long the proxy that waits longest has seen failures only; 0 when none waits',
    labelNames: ['mesh', 'backend'],
    registers,
  });
  const backingOff = new Gauge({
    name: 'cert_generation_backoff',
    help: 'Proxies that wait before their next attempt after a failure',
    registers,
  });

  function read(): void {
    const now = source.now();
    for (const one of [states, leafEnd, leafLeft, caEnd, caLeft, caLife, ready, failing, oldest]) one.reset();
    const survey = surveyExpiry(source, now);
    backingOff.set(survey.backingOff);
    for (const { mesh, service, backend, states: counts, earliestEnd } of survey.services) {
      const labels = { mesh, service, backend };
      for (const state of CERTIFICATE_STATES) states.set({ ...labels, state }, counts[state]);
      if (earliestEnd === undefined) continue;
      leafEnd.set(labels, earliestEnd / 1000);
      leafLeft.set(labels, (earliestEnd - now) / 1000);
    }
    for (const [mesh, backends] of source.meshes()) {
      for (const { name, enabled, state, roots } of backends) {
        const labels = { mesh, backend: name };
        ready.set({ ...labels, enabled: String(enabled) }, state === 'Ready' ? 1 : 0);
        failing.set(labels, 0);
        oldest.set(labels, 0);
        for (const root of [...roots].sort((a, b) => a.notAfter - b.notAfter).slice(0, MOST_CAS)) {
          const of = { ...labels, fingerprint: root.fingerprint, current: String(root.current) };
          caEnd.set(of, root.notAfter / 1000);
          caLeft.set(of, (root.notAfter - now) / 1000);
          caLife.set(of, (root.notAfter - root.notBefore) / 1000);
        }
      }
    }
    for (const { mesh, backend, failing: count, oldestSince } of survey.backends) {
      failing.set({ mesh, backend }, count);
      oldest.set({ mesh, backend }, oldestSince === undefined ? 0 : (now - oldestSince) / 1000);
    }
  }
}
