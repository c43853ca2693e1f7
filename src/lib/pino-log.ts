import { type Logger as Pino, pino } from 'pino';
import type { Logger } from './log.ts';

/** Paths whose value never reaches a log line, wherever a field of that name turns up one or two levels deep. */
const SECRET_FIELDS = ['token', 'authorization', 'key', 'privateKey', 'keyPem', 'password', 'data', 'secret'];

/** JSON lines on stderr at `level` (`debug`, `info`, `warn`, `error`, `silent`; also Kuma's `off`). */
export function createPinoLogger(level: string): Logger {
  const root = pino(
    {
      level: level === 'off' ? 'silent' : level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '***' },
    },
    pino.destination({ fd: 2, sync: true }),
  );
  return wrap(root);
}

function wrap(log: Pino): Logger {
  return {
    debug: (message, fields) => log.debug(plain(fields), message),
    info: (message, fields) => log.info(plain(fields), message),
    warn: (message, fields) => log.warn(plain(fields), message),
    error: (message, fields) => log.error(plain(fields), message),
    named: (component) => wrap(log.child({ component })),
  };
}

/** Errors become their message chain: stacks stay out of info logs, causes stay in. */
function plain(fields: Record<string, unknown> = {}): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) out[name] = value instanceof Error ? errorText(value) : value;
  return out;
}

function errorText(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${errorText(error.cause)}` : '';
  return `${error.message}${cause}`;
}
