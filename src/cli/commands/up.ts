import type { DemoSummary } from '../../demo/run.ts';
import { parseKumaDuration } from '../../lib/duration.ts';
import { flagOption, type Invocation, textOption } from '../command.ts';
import { CliError, usageError } from '../errors.ts';
import { formatOf, yamlText } from '../output/print.ts';
import { tableText } from '../output/table.ts';

const DEFAULT_LIFETIME = '20s';
const SHORTEST_LIFETIME_MS = 5000;
const DEFAULT_RATE = 50;
/** Off a terminal nobody can press Ctrl-C, so it ends by itself. */
const ROTATIONS_OFF_A_TERMINAL = 3;

/** `weft up`. Fails when a request failed. */
export async function run(invocation: Invocation): Promise<void> {
  const { io } = invocation;
  const format = formatOf(invocation);
  // Structured output goes to stdout alone; what a person reads goes to stderr then.
  const stream = format === 'table' ? process.stdout : process.stderr;
  const isTTY = stream.isTTY === true;
  const lifetime = textOption(invocation, 'lifetime') ?? DEFAULT_LIFETIME;
  const lifetimeMs = parseKumaDuration(lifetime);
  if (lifetimeMs === undefined || lifetimeMs < SHORTEST_LIFETIME_MS) {
    throw usageError(
      `--lifetime: "${lifetime}" is not a duration of 5s or more`,
      'give one number and one unit, such as 20s or 1m',
    );
  }
  const rotations = wholeNumber(invocation, 'rotations', 'rotations');
  const hangup = new AbortController();
  const onHangup = () => hangup.abort();
  process.on('SIGHUP', onHangup);
  const { runDemo } = await import('../../demo/run.ts');
  try {
    const summary = await runDemo(
      {
        rotations: rotations ?? (isTTY ? undefined : ROTATIONS_OFF_A_TERMINAL),
        lifetime,
        lifetimeMs,
        requestsPerSecond: wholeNumber(invocation, 'requestsPerSecond', 'requests-per-second') ?? DEFAULT_RATE,
        keepFiles: flagOption(invocation, 'keepFiles'),
        binaryPath: textOption(invocation, 'binaryPath') ?? '',
      },
      {
        env: io.env,
        signal: AbortSignal.any([io.signal, hangup.signal]),
        terminal: {
          isTTY,
          columns: () => stream.columns ?? 120,
          write: (text) => void stream.write(text),
          table: tableText,
        },
      },
    );
    if (summary === undefined) return;
    io.stdout(
      format === 'json'
        ? `${JSON.stringify(summary, null, 2)}\n`
        : format === 'yaml'
          ? await yamlText(summary)
          : describe(summary),
    );
    if (summary.requests.failed > 0) {
      throw new CliError(
        'server',
        `${summary.requests.failed} of ${summary.requests.sent} requests failed, the first: ${summary.requests.failures[0]}`,
      );
    }
  } finally {
    process.off('SIGHUP', onHangup);
  }
}

function describe(summary: DemoSummary): string {
  const { requests } = summary;
  const lines = [
    '',
    `${requests.ok} requests ok, ${requests.failed} failed, slowest ${Math.round(requests.slowestMs)} ms`,
    ...summary.proxies.map((proxy) => `${proxy.name}: ${proxy.spiffeId}, ${proxy.rotations} rotations`),
    '',
  ];
  return lines.join('\n');
}

function wholeNumber(invocation: Invocation, name: string, flag: string): number | undefined {
  const text = textOption(invocation, name);
  if (text === undefined) return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 10_000) throw usageError(`--${flag}: "${text}" is not a whole number from 1 to 10000`);
  return number;
}
