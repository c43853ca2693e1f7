import { expect, it } from 'vitest';
import type { Logger } from '../lib/log.ts';
import { createEnvoyLog } from './envoy-log.ts';

function recordingLogger(lines: string[]): Logger {
  const at = (level: string) => (message: string, fields?: Record<string, unknown>) =>
    void lines.push(`${level} ${fields?.['logger'] ?? '-'} ${message}`);
  const log: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), named: () => log };
  return log;
}

it('keeps level, logger and message of each line, wherever the chunks are cut', () => {
  const lines: string[] = [];
  const log = createEnvoyLog(recordingLogger(lines), []);
  const chunks = [
    'PARSE ERROR: no such flag\n[2026-11-24 05:07:06.339][11835][warning][config] [source/server/options.cc:287] old flag\n',
    'info\tmain\tstart',
    'ing\nwarning\tconfig\ta\tb\ncritical\tassert\tbad\ntrace\thttp\tx\ninfo\tmain\truntime: layers:\n  - name: kuma',
  ];
  for (const chunk of chunks) log.write(Buffer.from(chunk));
  log.end();
  expect(lines).toEqual([
    'warn - PARSE ERROR: no such flag',
    'warn config old flag',
    'info main starting',
    'warn config a\tb',
    'error assert bad',
    'debug http x',
    'info main runtime: layers:',
    'info main   - name: kuma',
  ]);
});

it('keeps the last lines for the report of a crash', () => {
  const log = createEnvoyLog(recordingLogger([]), []);
  for (let line = 0; line < 30; line += 1) log.write(Buffer.from(`info\tmain\tline ${line}\n`));
  expect(log.tail()).toHaveLength(20);
  expect(log.tail().at(-1)).toBe('line 29');
});

it('says no secret, whatever Envoy says of what it sends', () => {
  const lines: string[] = [];
  const log = createEnvoyLog(recordingLogger(lines), ['eyJhbGciOi.x.y']);
  log.write(Buffer.from("debug\trouter\trouter decoding headers:\n'authorization', 'eyJhbGciOi.x.y'\n"));
  expect(lines.at(-1)).toBe("debug router 'authorization', '***'");
  expect(log.tail().join()).not.toContain('eyJhbGciOi');
});
