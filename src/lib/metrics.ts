import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One registry for the process, made by the composition root and passed on; `/metrics` prints it. */
export type Metrics = Registry;
export { Counter, Gauge, Histogram };

export function createMetrics(): Metrics {
  return new Registry();
}
