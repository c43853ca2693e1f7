import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFileSync } from './file-sync.ts';

describe('createFileSync', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-sync-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('lets those who come during a sync share the next one', async () => {
    const path = join(directory, 'file');
    writeFileSync(path, 'x');
    const file = createFileSync(path);
    const first = file.flush();
    const second = file.flush();
    expect(second).not.toBe(first);
    expect(file.flush()).toBe(second);
    await Promise.all([first, second]);
    await file.flush();
    await file.close();
  });

  it('fails those who wait when it cannot sync, and works once it can', async () => {
    const path = join(directory, 'late');
    const file = createFileSync(path);
    const outcomes = await Promise.allSettled([file.flush(), file.flush()]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    writeFileSync(path, 'x');
    await file.flush();
    await file.close();
  });

  it('leaves no file open', async () => {
    const path = join(directory, 'file');
    writeFileSync(path, 'x');
    const file = createFileSync(path);
    void file.flush();
    await file.close();
    await file.close();
    const open = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    });
    expect(open).not.toContain(path);
  });
});
