import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One registry for the process, made by the composition root and passed on; `/metrics` prints it. */
export type Metrics = Registry;
export { Counter, Gauge, Histogram };

/** A registry with what every Prometheus target has: CPU, memory, start time. Read when they are asked for; nothing runs in between. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU seconds',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.set((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start, seconds since the epoch',
    registers,
    collect() {
      this.set(Math.round(Date.now() / 1000 - process.uptime()));
    },
  });
  new Gauge({
    name: 'nodejs_heap_size_used_bytes',
    help: 'Memory of live JavaScript objects and of garbage not yet collected',
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  return registry;
}
