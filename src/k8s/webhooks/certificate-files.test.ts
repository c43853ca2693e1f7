import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { createCa, createTlsLeaf, type TlsPair } from '../../x509/tls-pair.ts';
import { openCertificateFiles } from './certificate-files.ts';

/** Ten seconds are ten milliseconds. */
const clock: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 1000, run) };
let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-cert-dir-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function made(): Promise<TlsPair> {
  const ca = await createCa('CN=ca', Date.now(), 60_000);
  return createTlsLeaf(ca, { subject: 'CN=x', names: ['x'], usage: 'server', now: Date.now(), lifeMs: 60_000 });
}

async function put(pair: TlsPair, ca?: string): Promise<void> {
  await writeFile(join(dir, 'tls.key'), pair.keyPem);
  await writeFile(join(dir, 'tls.crt'), pair.certPem);
  if (ca !== undefined) await writeFile(join(dir, 'ca.crt'), ca);
}

describe('certificates from files', () => {
  it('follows the files, and keeps the old ones while the new do not fit together', async () => {
    const [first, second] = [await made(), await made()];
    await put(first);
    const files = await openCertificateFiles(dir, { clock, log: silentLogger });
    expect(files.serving).toMatchObject(first);
    expect(files.caBundle).toBeUndefined();
    let changes = 0;
    files.subscribe(() => (changes += 1));

    await writeFile(join(dir, 'tls.crt'), second.certPem);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(files.serving).toMatchObject(first);
    expect(changes).toBe(0);

    await put(second, 'CA');
    await vi.waitFor(() => {
      expect(files.serving).toMatchObject(second);
      expect(files.caBundle).toBe('CA');
    }, 10_000);
    expect(changes).toBeGreaterThan(0);
    await files.close();
  });

  it('does not start without usable files, and names the setting', async () => {
    await expect(openCertificateFiles(dir, { clock, log: silentLogger })).rejects.toThrow(
      /tls\.(crt|key).*runtime\.kubernetes\.admissionServer\.certDir/,
    );
    await put({ ...(await made()), keyPem: (await made()).keyPem });
    await expect(openCertificateFiles(dir, { clock, log: silentLogger })).rejects.toThrow(
      'no certificate with its key',
    );
  });
});
