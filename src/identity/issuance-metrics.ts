import { Counter, Gauge, Histogram, type Metrics } from '../lib/metrics.ts';
import type { Load } from './coordinator.ts';
import type { BackendCoordinator } from './coordinators.ts';

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60];

/** Counters of issuance. Names without `weft_` are Kuma's (kuma-compat 2.3; those of failing backends since 2.14.2, kuma#17448); labels have few values. */
export function createIssuanceMetrics(
  registry: Metrics,
  now: () => number,
  coordinators: () => Iterable<BackendCoordinator>,
) {
  const registers = [registry];
  const generated = new Counter({ name: 'cert_generation', help: 'Leaves issued', labelNames: ['mesh'], registers });
  const failed = new Counter({
    name: 'cert_generation_failure',
    help: 'Issuances that failed',
    labelNames: ['mesh'],
    registers,
  });
  const failedByCode = new Counter({
    name: 'weft_issuance_failures',
    help: 'Issuances that failed, by what went wrong',
    labelNames: ['code'],
    registers,
  });
  const leaf = new Histogram({
    name: 'ca_manager_get_cert',
    help: 'Seconds to issue a leaf',
    labelNames: ['backend_name'],
    buckets: SECONDS,
    registers,
  });
  const anchors = new Histogram({
    name: 'ca_manager_get_root_cert_chain',
    help: 'Seconds to fetch the trust anchors of a backend',
    labelNames: ['backend_name'],
    buckets: SECONDS,
    registers,
  });
  const lastFailure = new Gauge({
    name: 'weft_issuance_last_failure_timestamp_seconds',
    help: 'When an issuance of this backend failed last, seconds since the epoch; absent when none has since the start',
    labelNames: ['mesh', 'backend'],
    registers,
  });
  const throttled = new Counter({
    name: 'weft_issuance_throttled_total',
    help: 'How often a backend said that it is asked too much, and was asked less from then on',
    labelNames: ['mesh', 'backend'],
    registers,
  });
  const waited = new Histogram({
    name: 'weft_issuance_wait_seconds',
    help: 'Seconds in the queue of a backend before it was asked',
    labelNames: ['mesh', 'backend'],
    buckets: SECONDS.concat(300, 1800),
    registers,
  });
  /** Sets one series for each backend; none where `of` has nothing to say. */
  function show(gauge: Gauge<'mesh' | 'backend'>, of: (load: Load) => number | undefined): void {
    gauge.reset();
    for (const { mesh, backend, coordinator } of coordinators()) {
      const value = of(coordinator.load());
      if (value !== undefined) gauge.set({ mesh, backend }, value);
    }
  }
  new Gauge({
    name: 'cert_generation_circuit_open',
    help: 'Backends that are left alone after failures of many proxies, but for a probe now and then',
    registers,
    collect() {
      this.set([...coordinators()].filter(({ coordinator }) => coordinator.load().leftAlone).length);
    },
  });
  new Gauge({
    name: 'weft_issuance_queue_waiting',
    help: 'Leaves waiting to be issued',
    labelNames: ['mesh', 'backend'],
    registers,
    collect() {
      show(this, ({ waiting }) => waiting);
    },
  });
  new Gauge({
    name: 'weft_issuance_in_flight',
    help: 'Requests to the backend that are under way',
    labelNames: ['mesh', 'backend'],
    registers,
    collect() {
      show(this, ({ inFlight }) => inFlight);
    },
  });
  new Gauge({
    name: 'weft_issuance_concurrency_limit',
    help: 'Requests that may be under way now; less than configured after a start, and while the backend throttles',
    labelNames: ['mesh', 'backend'],
    registers,
    collect() {
      show(this, ({ concurrency }) => concurrency);
    },
  });
  new Gauge({
    name: 'weft_issuance_rate_limit_per_second',
    help: 'Requests a second that the backend is asked now at the most; absent: no limit',
    labelNames: ['mesh', 'backend'],
    registers,
    collect() {
      show(this, ({ perSecond }) => perSecond);
    },
  });
  new Gauge({
    name: 'weft_issuance_circuit_open',
    help: '1 while the backend is left alone after failures of many proxies, but for a probe now and then',
    labelNames: ['mesh', 'backend'],
    registers,
    collect() {
      show(this, ({ leftAlone }) => Number(leftAlone));
    },
  });
  return {
    issued(mesh: string, backend: string, seconds: number): void {
      generated.inc({ mesh });
      leaf.observe({ backend_name: backend }, seconds);
    },
    failed(mesh: string, backend: string, code: string): void {
      failed.inc({ mesh });
      lastFailure.set({ mesh, backend }, now() / 1000);
      failedByCode.inc({ code });
    },
    throttled: (mesh: string, backend: string): void => throttled.inc({ mesh, backend }),
    waited: (mesh: string, backend: string, seconds: number): void => waited.observe({ mesh, backend }, seconds),
    anchorsFetched: (backend: string, seconds: number): void => anchors.observe({ backend_name: backend }, seconds),
  };
}
