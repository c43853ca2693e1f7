/** Everything a command touches outside its arguments; a test hands in its own. */
export interface CliIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whole standard input. */
  readonly readStdin: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly now: () => number;
  /** True when a person watches stderr: progress and colour are allowed there. */
  readonly interactive: boolean;
  /** True when stdout is a terminal: a token gets a line end there, and none in a file. */
  readonly terminal: boolean;
  /** Aborts on the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
}
