import type { Readable } from 'node:stream';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Redactor } from './redact.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** What a plug-in says, as lines of our log: without the secrets it was given, each cut to a length, so many a second at most. */
export interface PluginOutput {
  line(level: Level, text: string, fields?: Record<string, unknown>): void;
  /** Logs what the stream of a process says, line by line. A process that says more than is read waits. */
  follow(stream: Readable, level: Level): void;
}

const MAX_CHARACTERS = 1000;
/** So much of a line is looked at. */
const MAX_LINE_CHARACTERS = 8192;
const LINES_PER_SECOND = 20;
const BYTES_PER_SECOND = 1024 * 1024;

export function createPluginOutput(options: { log: Logger; clock: Clock; redactor: Redactor }): PluginOutput {
  const { log, clock, redactor } = options;
  let lines = 0;
  let leftOut = 0;
  let counting = false;
  let bytes = 0;
  const waiting = new Set<Readable>();

  function startSecond(): void {
    if (counting) return;
    counting = true;
    clock.after(1000, () => {
      counting = false;
      if (leftOut > 0) log.warn('lines of a plug-in were left out', { lines: leftOut });
      lines = 0;
      leftOut = 0;
      bytes = 0;
      for (const stream of waiting) stream.resume();
      waiting.clear();
    });
  }

  function line(level: Level, text: string, fields: Record<string, unknown> = {}): void {
    startSecond();
    lines += 1;
    if (lines > LINES_PER_SECOND) leftOut += 1;
    else log[level]('a CA plug-in says', { ...fields, text: redactor.clean(text, MAX_CHARACTERS) });
  }

  return {
    line,
    follow(stream, level) {
      let held = '';
      /** The rest of a line that was too long. */
      let skipping = false;
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        startSecond();
        bytes += text.length;
        if (bytes > BYTES_PER_SECOND) {
          stream.pause();
          waiting.add(stream);
        }
        const all = `${held}${text}`.split('\n');
        held = all.pop()!;
        if (skipping && all.length > 0) {
          all.shift();
          skipping = false;
        }
        for (const one of all) if (one.trim() !== '') line(level, one);
        if (skipping) held = '';
        else if (held.length > MAX_LINE_CHARACTERS) {
          line(level, held);
          held = '';
          skipping = true;
        }
      });
      stream.on('end', () => {
        if (held.trim() !== '') line(level, held);
      });
      stream.on('error', () => {});
    },
  };
}
