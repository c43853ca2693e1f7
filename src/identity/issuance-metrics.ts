import { Counter, Gauge, Histogram, type Metrics } from '../lib/metrics.ts';
import type { Coordinator } from './coordinator.ts';

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60];

/** Counters of issuance. Names without `weft_` are Kuma's (kuma-compat 2.3; those of failing backends since 2.14.2, kuma#17448); labels have few values. */
export function createIssuanceMetrics(
  registry: Metrics,
  now: () => number,
  coordinators: () => ReadonlyMap<string, Coordinator>,
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
  new Gauge({
    name: 'cert_generation_circuit_open',
    help: 'Backends that are left alone after failures of many proxies, but for a probe now and then',
    registers,
    collect() {
      this.set([...coordinators().values()].filter(({ leftAlone }) => leftAlone).length);
    },
  });
  new Gauge({
    name: 'weft_issuance_queue_waiting',
    help: 'Leaves waiting to be issued, over all backends',
    registers,
    collect() {
      this.set([...coordinators().values()].reduce((sum, { waiting }) => sum + waiting, 0));
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
    anchorsFetched: (backend: string, seconds: number): void => anchors.observe({ backend_name: backend }, seconds),
  };
}
