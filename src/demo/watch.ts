import { waitFor } from '../lib/wait.ts';
import { DemoError } from './error.ts';
import { type Observer, type ProxyView, rotationsOf } from './observe.ts';
import type { DemoScreen, DemoTerminal } from './screen.ts';
import type { TrafficReport } from './traffic.ts';
import { HEADERS, rotationLine, tableRows, trafficLine } from './view.ts';

export interface Watch {
  readonly observer: Observer;
  /** How the requests went so far. */
  readonly traffic: () => TrafficReport | Promise<TrafficReport>;
  readonly screen: DemoScreen;
  readonly terminal: DemoTerminal;
  /** Stop after so many rotations of every proxy's certificate; `undefined`: run until the signal aborts. */
  readonly rotations: number | undefined;
  /** Life of a leaf: as people read it, and in ms. */
  readonly lifetime: string;
  readonly lifetimeMs: number;
  /** Between two looks. */
  readonly lookEveryMs: number;
  /** Rejects when the demo can't go on. */
  readonly failed: Promise<never>;
  readonly signal: AbortSignal;
}

const REPORT_EVERY_MS = 10_000;
/** Traffic after the last rotation, so that the last leaf is used too. */
const AFTERMATH_MS = 1000;

/**
 * Shows the live table until enough rotations were seen (`complete`) or the signal aborts (`stopped`). Throws `DemoError` `timeout` when rotations
 * do not come, and what `failed` rejects with.
 */
export async function watchRotations(watch: Watch): Promise<'complete' | 'stopped'> {
  const { observer, screen, terminal, signal, rotations = Number.POSITIVE_INFINITY } = watch;
  const giveUpAt = performance.now() + watch.lifetimeMs * (rotations + 2) + 30_000;
  let enoughSince: number | undefined;
  let reportedAt = performance.now();
  while (!signal.aborted) {
    const before = observer.views();
    const [views, traffic] = await Promise.race([Promise.all([observer.look(), watch.traffic()]), watch.failed]);
    for (const view of newlyRotated(before, views)) screen.line(`  ${rotationLine(view, Date.now())}`);
    screen.draw(`\n${terminal.table(HEADERS, tableRows(views, traffic, Date.now()))}\n${closingHint(watch)}`);
    const now = performance.now();
    if (views.every((view) => rotationsOf(view) >= rotations)) enoughSince ??= now;
    if (enoughSince !== undefined && now - enoughSince >= AFTERMATH_MS) return 'complete';
    if (now > giveUpAt) {
      throw new DemoError(
        'timeout',
        `wait for ${rotations} rotations of certificates that live ${watch.lifetime}: not within ${Math.round(giveUpAt / 1000)} s`,
      );
    }
    if (!terminal.isTTY && now - reportedAt >= REPORT_EVERY_MS) {
      screen.line(`  ${trafficLine(traffic)}`);
      reportedAt = now;
    }
    await waitFor(watch.lookEveryMs, signal);
  }
  return 'stopped';
}

function newlyRotated(before: readonly ProxyView[], after: readonly ProxyView[]): readonly ProxyView[] {
  return after.filter((view, index) => rotationsOf(view) > rotationsOf(before[index]!));
}

function closingHint({ rotations }: Watch): string {
  return rotations === undefined
    ? 'Ctrl-C ends it and leaves nothing behind.'
    : `Ends after ${rotations} rotations of each certificate.`;
}
