import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { missingCluster } from '../../cluster/binaries.ts';
import { weftImages } from '../../cluster/images.ts';
import { ROOT } from '../guide-shell.ts';

const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

/** `make demo-kubernetes` off a terminal. `stopAt`: a line at which it is told to stop. */
async function runDemo(args: readonly string[], stopAt?: string) {
  await weftImages();
  const child = spawn(process.execPath, ['tests/cluster/demo/main.ts', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let stoppedAt = Number.POSITIVE_INFINITY;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (stopAt === undefined || stoppedAt !== Number.POSITIVE_INFINITY || !output.includes(stopAt)) return;
      stoppedAt = performance.now();
      child.kill('SIGINT');
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output, stopMs: performance.now() - stoppedAt };
}

describe.skipIf(missing !== undefined)(`make demo-kubernetes${missing === undefined ? '' : ` (${missing})`}`, () => {
  it('shows the page, and ends well after its rotations', async () => {
    const { code, output } = await runDemo(['--rotations', '1', '--lifetime', '20s']);
    expect(code, output).toBe(0);
    expect(output).toContain('a Pod without a sidecar is refused by api');
    expect(output).toMatch(/api-\S+: rotation 1, certificate \w+ replaced by \w+/);
    expect(output).toMatch(/\d+ requests ok, 0 failed/);
    expect(output).toMatch(/spiffe:\/\/default\/web_weft-demo_svc_8080, signed by CN=my-ca/);
  }, 900_000);

  it('ends soon when it is told to stop, and takes its cluster along', async () => {
    const { code, output, stopMs } = await runDemo([], 'Ready (');
    expect(code, output).toBe(0);
    expect(stopMs).toBeLessThan(30_000);
  }, 900_000);
});
