import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../lib/clock.ts';
import { createMemoryStore } from '../store/memory.ts';
import { clusterCertificate } from './cluster-certificate.ts';
import { loadConfig } from './config.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function replicaConfig() {
  const folder = mkdtempSync(join(tmpdir(), 'weft-replica-'));
  folders.push(folder);
  const env = {
    HOME: folder,
    KUMA_GENERAL_WORK_DIR: folder,
    KUMA_ENVIRONMENT: 'kubernetes',
    KUMA_STORE_TYPE: 'kubernetes',
  };
  return loadConfig({ env }).config;
}

it('is another one on each replica, of one CA, and good for the Service', async () => {
  const store = createMemoryStore({ clock: systemClock });
  const [one, other] = [
    await clusterCertificate(store, replicaConfig(), Date.now()),
    await clusterCertificate(store, replicaConfig(), Date.now()),
  ];
  expect(other.caPem).toBe(one.caPem);
  expect(other.keyPem).not.toBe(one.keyPem);
  const certificate = new X509Certificate(one.certPem);
  expect(certificate.verify(new X509Certificate(one.caPem).publicKey)).toBe(true);
  for (const name of ['weft-control-plane.kong-mesh-system', 'weft-control-plane.kong-mesh-system.svc', 'localhost'])
    expect(certificate.checkHost(name)).toBe(name);
});
