import type { Clock, Timer } from '../../lib/clock.ts';

const WINDOW_MS = 1000;

/** Hands on the first notice at once, then the newest of each kind once a second: whoever notices too much must not keep the control plane busy. */
export function createNoticeGate<N extends { readonly kind: string }>(
  clock: Clock,
  deliver: (notice: N) => void,
): { take(notice: N): void; close(): void } {
  const waiting = new Map<string, N>();
  let window: Timer | undefined;

  function open(): void {
    window = clock.after(WINDOW_MS, () => {
      window = undefined;
      if (waiting.size === 0) return;
      const notices = [...waiting.values()];
      waiting.clear();
      open();
      for (const notice of notices) deliver(notice);
    });
  }

  return {
    take(notice) {
      if (window !== undefined) {
        waiting.set(notice.kind, notice);
        return;
      }
      open();
      deliver(notice);
    },
    close() {
      window?.cancel();
      waiting.clear();
    },
  };
}
