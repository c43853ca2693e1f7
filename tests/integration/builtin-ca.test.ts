import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createSqliteStore } from '../../src/store/sqlite/store.ts';

const KILLS = 20;
const WRITER = new URL('./builtin-ca-writer.ts', import.meta.url).pathname;

/** Runs the writer, kills it -9 a random moment after its first CA, and returns how many it said were done. */
async function killedWriter(path: string, start: number): Promise<number> {
  const child = spawn(process.execPath, [WRITER, path, String(start)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  let done = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    done += chunk.toString().split('\n').length - 1;
  });
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  child.kill('SIGKILL');
  await closed;
  return done;
}

it('a control plane killed while it makes builtin CAs leaves whole ones only (F2)', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-builtin-'));
  const path = join(directory, 'weft.db');
  let acknowledged = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    acknowledged += await killedWriter(path, kill * 100_000);
    const store = createSqliteStore({ path, clock: systemClock, log: silentLogger });
    const { items } = await store.list({ type: 'Secret' });
    const values = new Map(
      items.map(({ meta, spec }) => [
        meta.name,
        Buffer.from((spec as { data: string }).data, 'base64').toString('utf8'),
      ]),
    );
    const certificates = [...values].filter(([name]) => name.includes('.ca-builtin-cert-'));
    expect(values.size).toBe(2 * certificates.length);
    expect(certificates.length).toBeGreaterThanOrEqual(acknowledged);
    for (const [name, pem] of certificates) {
      const key = values.get(name.replace('-cert-', '-key-'));
      expect([name, new X509Certificate(pem).checkPrivateKey(createPrivateKey(key!))]).toEqual([name, true]);
    }
    await store.close();
  }
  rmSync(directory, { recursive: true });
});
