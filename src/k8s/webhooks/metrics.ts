import { Counter, Histogram, type Metrics } from '../../lib/metrics.ts';

/** How a call ended: `failed` is a neighbour or we ourselves, `malformed` no AdmissionReview. */
export type Outcome = 'allowed' | 'patched' | 'refused' | 'failed' | 'malformed';
const OUTCOMES: readonly Outcome[] = ['allowed', 'patched', 'refused', 'failed', 'malformed'];

/** Counts of the admission server. */
export interface WebhookMetrics {
  answered(webhook: string, outcome: Outcome, seconds: number): void;
}

/** Registers the metrics; to be called once per registry. `webhooks` are the names that may come. */
export function createWebhookMetrics(registry: Metrics, webhooks: readonly string[]): WebhookMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'weft_webhook_requests_total',
    help: 'Admission requests by webhook and how they ended',
    labelNames: ['webhook', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'weft_webhook_request_duration_seconds',
    help: 'Duration of admission requests, from the whole body to the answer',
    labelNames: ['webhook'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  for (const webhook of webhooks) for (const outcome of OUTCOMES) requests.inc({ webhook, outcome }, 0);
  return {
    answered(webhook, outcome, duration) {
      requests.inc({ webhook, outcome });
      seconds.observe({ webhook }, duration);
    },
  };
}
