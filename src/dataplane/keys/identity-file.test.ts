import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadIdentity, NOTHING_KEPT, saveIdentity } from './identity-file.ts';
import { keyPem, makeKey } from './own-key.ts';

let folder: string;
let file: string;
let reasons: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-identity-'));
  file = join(folder, 'identity.json');
  reasons = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const load = (proxy = 'default.web-1') => loadIdentity(file, proxy, (reason) => void reasons.push(reason));

it('gives back what it was given, in a file that only its owner reads', async () => {
  const leaf = { key: await makeKey('rsa-2048'), serial: '0a', chainPem: 'CHAIN', anchorPem: 'ANCHOR' };
  const next = await makeKey('ec-p256');
  writeFileSync(`${file}.new`, 'left by a process that was killed', { mode: 0o644 });
  saveIdentity(file, 'default.web-1', { leaf, next });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const kept = load();
  expect(kept.leaf).toMatchObject({ serial: '0a', chainPem: 'CHAIN', anchorPem: 'ANCHOR' });
  expect(kept.leaf!.key).toMatchObject({ id: leaf.key.id, type: 'rsa-2048' });
  expect(keyPem(kept.next!)).toBe(keyPem(next));
  expect(reasons).toEqual([]);
});

it('has nothing for another proxy, and says so', async () => {
  saveIdentity(file, 'default.web-1', { leaf: undefined, next: await makeKey('ec-p256') });
  expect(load('default.api-1')).toBe(NOTHING_KEPT);
  expect(reasons).toEqual(['it is of another proxy']);
});

it('takes a broken file for none, and shows nothing of it', () => {
  expect(load()).toBe(NOTHING_KEPT);
  writeFileSync(file, '{"proxy":"default.web-1","nextKeyPem":"-----BEGIN PRIVATE KEY-----\nc2VjcmV0');
  expect(load()).toBe(NOTHING_KEPT);
  writeFileSync(file, JSON.stringify({ proxy: 'default.web-1', nextKeyPem: 'c2VjcmV0' }));
  expect(load()).toBe(NOTHING_KEPT);
  expect(reasons).toHaveLength(2);
  expect(reasons.join()).not.toContain('c2VjcmV0');
});
