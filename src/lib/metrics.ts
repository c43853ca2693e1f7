import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One registry for the process, made by the composition root and passed on; `/metrics` prints it. */
export type Metrics = Registry;
export { Counter, Gauge, Histogram };

/** A registry with what every Prometheus target has: CPU, memory, start time. Read when they are asked for; nothing runs in between. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const read = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  read('process_cpu_seconds_total', 'User and system CPU seconds', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  read('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  read('process_start_time_seconds', 'Start, seconds since the epoch', () =>
    Math.round(Date.now() / 1000 - process.uptime()),
  );
  read(
    'nodejs_heap_size_used_bytes',
    'Memory of live JavaScript objects and of garbage not yet collected',
    () => process.memoryUsage().heapUsed,
  );
  return registry;
}
