/** Where the demo shows itself: given by the command line. */
export interface DemoTerminal {
  /** True: a person watches, and what was written may be redrawn. */
  readonly isTTY: boolean;
  /** Width in characters; only asked on a terminal. */
  columns(): number;
  write(text: string): void;
  /** A table as the other commands print it, ending with a newline. */
  table(headers: readonly string[], rows: readonly (readonly string[])[]): string;
}

/** Steps and lines that stay, and below them, on a terminal, a part that is redrawn. */
export interface DemoScreen {
  /** A step that passed, with the time it took. */
  step(text: string, tookMs: number): void;
  /** A line that stays. */
  line(text: string): void;
  /** Replaces the part that is redrawn; nothing off a terminal. */
  draw(frame: string): void;
  /** Lets the drawn part stay as it is. */
  keep(): void;
}

const CLEAR_BELOW = '\x1b[J';
const GREEN_TICK = '\x1b[32m✓\x1b[39m';

export function createDemoScreen(terminal: DemoTerminal): DemoScreen {
  let drawn: string[] = [];
  const clear = () => (drawn.length > 0 ? `\x1b[${drawn.length}A\r${CLEAR_BELOW}` : '');
  const put = (text: string) => {
    const below = drawn.map((one) => `${one}\n`).join('');
    terminal.write(`${clear()}${text}\n${below}`);
  };
  return {
    step: (text, tookMs) => put(`${terminal.isTTY ? GREEN_TICK : '✓'} ${text} (${(tookMs / 1000).toFixed(2)} s)`),
    line: put,
    draw(frame) {
      if (!terminal.isTTY) return;
      // A line that wraps would be two lines to go up over.
      const lines = frame
        .trimEnd()
        .split('\n')
        .map((line) => [...line].slice(0, Math.max(20, terminal.columns() - 1)).join(''));
      const text = clear() + lines.map((line) => `${line}\n`).join('');
      drawn = lines;
      terminal.write(text);
    },
    keep() {
      drawn = [];
    },
  };
}

/** Runs a step and shows it with its time. */
export async function timed<T>(
  screen: DemoScreen,
  text: string | ((result: T) => string),
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  screen.step(typeof text === 'string' ? text : text(result), performance.now() - startedAt);
  return result;
}
