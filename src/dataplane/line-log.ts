import type { Logger } from '../lib/log.ts';

const RANK: Readonly<Record<string, number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  silent: 100,
  off: 100,
};

/**
 * Logger that writes one JSON object a line, in the shape of the control plane's log, without a logging library: the launcher
 * stands beside every proxy, so its memory counts. `level` is `debug`, `info`, `warn`, `error`, `silent` or `off`.
 */
export function createLineLogger(level: string, write: (line: string) => void, component?: string): Logger {
  const least = RANK[level] ?? 30;
  const at =
    (name: string) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      if (RANK[name]! < least) return;
      const line: Record<string, unknown> = { level: name, time: new Date().toISOString() };
      if (component) line['component'] = component;
      for (const [key, value] of Object.entries(fields)) line[key] = value instanceof Error ? errorText(value) : value;
      line['msg'] = message;
      write(`${JSON.stringify(line)}\n`);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    named: (name) => createLineLogger(level, write, component ? `${component}.${name}` : name),
  };
}

function errorText(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${errorText(error.cause)}` : error.message;
}
