import { Counter, Gauge, Histogram, type Metrics } from '../lib/metrics.ts';

/** Counts of the xDS server, under the names that Kuma's dashboards use (`xds_*`). */
export interface XdsMetrics {
  streamOpened(): void;
  streamClosed(): void;
  sent(typeUrl: string, bytes: number): void;
  answered(typeUrl: string, confirmation: 'ACK' | 'NACK'): void;
  /** A stream ended by us; `reason` is an `XdsErrorCode`. */
  rejected(reason: string): void;
}

/** Registers the metrics; to be called once per registry. */
export function createXdsMetrics(registry: Metrics): XdsMetrics {
  const registers = [registry];
  const active = new Gauge({ name: 'xds_streams_active', help: 'Open xDS streams', registers });
  const responses = new Counter({
    name: 'xds_responses_sent',
    help: 'Responses sent to proxies',
    labelNames: ['type_url'],
    registers,
  });
  const bytes = new Histogram({
    name: 'xds_responses_sent_bytes',
    help: 'Size in bytes of the responses sent to proxies',
    labelNames: ['type_url'],
    buckets: Array.from({ length: 16 }, (_, power) => 1024 * 2 ** power),
    registers,
  });
  const requests = new Counter({
    name: 'xds_requests_received',
    help: 'Confirmations received from proxies',
    labelNames: ['type_url', 'confirmation', 'error_type'],
    registers,
  });
  const rejections = new Counter({
    name: 'xds_streams_rejected',
    help: 'Streams ended by the control plane',
    labelNames: ['reason'],
    registers,
  });
  active.set(0);

  /** A labelled child is looked up once: building the label key costs more than counting. */
  const perType = new Map<
    string,
    { sent: Counter.Internal; bytes: Histogram.Internal<'type_url'>; ACK: Counter.Internal; NACK: Counter.Internal }
  >();
  const of = (typeUrl: string) => {
    let found = perType.get(typeUrl);
    if (!found) {
      found = {
        sent: responses.labels({ type_url: typeUrl }),
        bytes: bytes.labels({ type_url: typeUrl }),
        ACK: requests.labels({ type_url: typeUrl, confirmation: 'ACK', error_type: 'no_error' }),
        NACK: requests.labels({ type_url: typeUrl, confirmation: 'NACK', error_type: 'other' }),
      };
      perType.set(typeUrl, found);
    }
    return found;
  };

  return {
    streamOpened: () => active.inc(),
    streamClosed: () => active.dec(),
    sent(typeUrl, size) {
      const child = of(typeUrl);
      child.sent.inc();
      child.bytes.observe(size);
    },
    answered: (typeUrl, confirmation) => of(typeUrl)[confirmation].inc(),
    rejected: (reason) => rejections.inc({ reason }),
  };
}
