import { hideSecrets } from '../lib/hide-secrets.ts';
import type { Logger } from '../lib/log.ts';

/** Envoy's `--log-format` that `createEnvoyLog` reads: level, logger, message, divided by tabs. Source: spdlog pattern flags. */
export const ENVOY_LOG_FORMAT = '%l\t%n\t%v';

/** Envoy's own default form, `[time][thread][level][logger] [place] message`: what it says before it has read `--log-format`. */
const EARLY_LINE = /^\[[^\]]*\]\[\d+\]\[([a-z]+)\]\[([a-z0-9_.]+)\] (?:\[[^\]]*\] )?(.*)$/s;
const LINE = /^(trace|debug|info|warning|error|critical)\t([a-z0-9_.]+)\t(.*)$/s;
const KEPT_LINES = 20;

export interface EnvoyLog {
  /** Takes bytes of Envoy's stderr as they come. */
  write(chunk: Buffer): void;
  /** Passes on what stands after the last line break. */
  end(): void;
  /** The last lines, oldest first: what Envoy said before it died. */
  tail(): readonly string[];
}

/**
 * Passes Envoy's log to `log` line by line at Envoy's level. A further line of one message keeps the level of its first; a line of
 * another form before any message is a warning. At debug level Envoy logs the headers it sends: `secrets` are left out.
 */
export function createEnvoyLog(log: Logger, secrets: readonly string[]): EnvoyLog {
  let rest = '';
  const kept: string[] = [];
  let level: ReturnType<typeof levelOf> = 'warn';
  let logger: string | undefined;
  const take = (said: string) => {
    if (said === '') return;
    const line = hideSecrets(said, secrets);
    const match = LINE.exec(line) ?? EARLY_LINE.exec(line);
    if (match) {
      level = levelOf(match[1]!);
      logger = match[2];
    }
    kept.push(match ? match[3]! : line);
    if (kept.length > KEPT_LINES) kept.shift();
    log[level](match?.[3] ?? line, logger === undefined ? {} : { logger });
  };
  return {
    write(chunk) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop()!.slice(0, 65_536);
      for (const line of lines) take(line);
    },
    end() {
      take(rest);
      rest = '';
    },
    tail: () => [...kept],
  };
}

function levelOf(level: string): 'debug' | 'info' | 'warn' | 'error' {
  if (level === 'warning') return 'warn';
  if (level === 'critical') return 'error';
  return level === 'info' || level === 'error' ? level : 'debug';
}
