import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { Counter, Gauge, type Metrics } from '../../lib/metrics.ts';
import type { CaBackendKind } from '../backend.ts';
import { createPluginHost } from './host.ts';
import { createPluginKind } from './kind.ts';
import type { PluginProgram } from './process.ts';
import type { PluginSetting } from './setting.ts';

/** The CA backend types that come from elsewhere, one process each. */
export interface CaPlugins {
  readonly kinds: readonly CaBackendKind[];
  /** Resolves when each is loaded or has failed once, after 5 s at the latest. */
  readonly started: Promise<void>;
  /** Ends the processes. */
  close(): Promise<void>;
}

const FIRST_START_MS = 5000;

/** Starts a process for each plug-in and again whenever it ends. What is asked of one that is being loaded waits; while it is down the answer is `unavailable`. */
export function createCaPlugins(options: {
  readonly settings: readonly PluginSetting[];
  readonly program: PluginProgram;
  /** `general.workDir`: packages are looked up from there. */
  readonly workDir: string;
  /** Of the control plane; a plug-in gets what its setting names. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly heartbeatMs?: number;
}): CaPlugins {
  const registers = [options.metrics];
  const up = new Gauge({
    name: 'weft_ca_plugin_up',
    help: '1 while the process of a CA plug-in runs and its module is loaded',
    labelNames: ['type'],
    registers,
  });
  const restarts = new Counter({
    name: 'weft_ca_plugin_restarts_total',
    help: 'Starts of the process of a CA plug-in after its first one',
    labelNames: ['type'],
    registers,
  });
  const hosts = options.settings.map((setting) => {
    const { type } = setting;
    up.set({ type }, 0);
    restarts.inc({ type }, 0);
    const log = options.log.named(`ca-plugin/${type}`);
    const host = createPluginHost({ ...options, setting, log, restarted: () => restarts.inc({ type }) });
    host.subscribe((problem) => up.set({ type }, problem === undefined ? 1 : 0));
    return { type, host };
  });
  const signal = AbortSignal.timeout(FIRST_START_MS);
  const started = Promise.allSettled(hosts.map(({ host }) => host.ready(signal)));
  return {
    started: started.then(() => undefined),
    kinds: hosts.map(({ type, host }) => createPluginKind(type, host)),
    async close() {
      await Promise.all(hosts.map(({ host }) => host.close()));
    },
  };
}
