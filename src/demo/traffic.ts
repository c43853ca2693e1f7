import { Agent, type IncomingMessage, request } from 'node:http';

export interface TrafficOptions {
  /** One URL, or several that take turns. */
  readonly url: string | readonly string[];
  /** Requests started each second, whatever the answers. */
  readonly perSecond: number;
  /** True: connections are used again. False: each request opens its own. */
  readonly keepAlive: boolean;
  /** A request without an answer after this long has failed; default 10 s. */
  readonly timeoutMs?: number;
}

/** Every request started is counted once: as `ok` or as `failed`. */
export interface TrafficReport {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  /** Answer codes and error messages with their numbers. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Times of the first failures, ISO, with their reason; at most 20. */
  readonly failures: readonly string[];
  /** Slowest answer. */
  readonly slowestMs: number;
}

export interface Traffic extends AsyncDisposable {
  report(): TrafficReport;
  /** Starts no further request, waits for those under way. */
  stop(): Promise<TrafficReport>;
}

/** Constant load of GET requests without retries. A 200 is ok, everything else failed. */
export function startTraffic(options: TrafficOptions): Traffic {
  const agent = new Agent({ keepAlive: options.keepAlive, maxSockets: Number.POSITIVE_INFINITY });
  const startedAt = performance.now();
  const outcomes: Record<string, number> = {};
  const failures: string[] = [];
  const urls = typeof options.url === 'string' ? [options.url] : options.url;
  const open = new Set<Promise<void>>();
  let sent = 0;
  let ok = 0;
  let slowestMs = 0;
  const note = (outcome: string, good: boolean, sentAt: number) => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    slowestMs = Math.max(slowestMs, performance.now() - sentAt);
    if (good) ok += 1;
    else if (failures.length < 20) failures.push(`${new Date().toISOString()} ${outcome}`);
  };
  const send = () => {
    const url = urls[sent % urls.length]!;
    sent += 1;
    const sentAt = performance.now();
    const call = get(url, agent, options.timeoutMs ?? 10_000).then(
      (status) => note(String(status), status === 200, sentAt),
      (error: Error) => note(error.message, false, sentAt),
    );
    open.add(call);
    void call.then(() => open.delete(call));
  };
  // The number that is due by now, not one per tick: a late timer must not lower the rate.
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * options.perSecond);
    while (sent < due) send();
  }, 5);
  const report = (): TrafficReport => ({
    sent,
    ok,
    failed: sent - ok - open.size,
    outcomes: { ...outcomes },
    failures: [...failures],
    slowestMs,
  });
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(open);
    agent.destroy();
    return report();
  };
  return {
    report,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function get(url: string, agent: Agent, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent, timeout: timeoutMs }, (response: IncomingMessage) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', reject);
    });
    call.once('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once('error', reject);
    call.end();
  });
}
