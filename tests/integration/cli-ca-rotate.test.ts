import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CaRotationSpec } from '../../src/resources/kinds/ca-rotation.ts';
import { type CliFixture, type Result, startCliFixture } from './cli-fixture.ts';

const KEY = { type: 'CaRotation', mesh: 'default', name: 'default' };
const mtls = {
  enabledBackend: 'ca-1',
  backends: [
    { name: 'ca-1', type: 'builtin' },
    { name: 'ca-2', type: 'builtin' },
  ],
};

let cli: CliFixture;
beforeEach(async () => {
  cli = await startCliFixture();
  const mesh = (await cli.api.store.get({ type: 'Mesh', mesh: '', name: 'default' }))!;
  await cli.api.store.update({ ...mesh, spec: { mtls } });
});
afterEach(() => cli.close());

const rotate = (...argv: string[]): Promise<Result> => cli.weft(['ca', 'rotate', ...argv]);

/** As the leader does, which there is none of here. */
async function end(phase: 'Done' | 'Cancelled', message?: string): Promise<void> {
  const stored = (await cli.api.store.get(KEY))!;
  const spec = { ...(stored.spec as CaRotationSpec), phase, ...(message === undefined ? {} : { message }) };
  await cli.api.store.update({ ...stored, spec });
}

/** Runs the command, and ends the rotation once it is under way. */
async function rotateUntil(phase: 'Done' | 'Cancelled', message?: string, ...argv: string[]): Promise<Result> {
  const result = rotate('--to', 'ca-2', ...argv);
  while ((await cli.api.store.get(KEY)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  await end(phase, message);
  return result;
}

describe('ca rotate', () => {
  it('shows how far it is until it is done', async () => {
    const { code, stdout, stderr } = await rotateUntil('Done');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^mesh default, ca-1 -> ca-2: Trusting: of 0 connected proxies 0 trust it and 0 have it; /),
      expect.stringMatching(/^mesh default, ca-1 -> ca-2: Done/),
      '',
    ]);
  });

  it('is one JSON document with -o json', async () => {
    const { code, stdout } = await rotateUntil('Done', undefined, '-o', 'json');
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { mesh: 'default', from: 'ca-1', to: 'ca-2', ended: true }]);
  });

  it('fails when it comes to another end', async () => {
    const { code, stderr } = await rotateUntil('Cancelled', 'mTLS was switched off');
    expect([code, stderr]).toEqual([
      1,
      'error: ca rotate: the rotation of mesh default ended as Cancelled: mTLS was switched off\n',
    ]);
  });

  it('begins one and ends, shows it, holds it, and takes it back', async () => {
    const begun = await rotate('--to', 'ca-2', '--offline', '10m', '--drop-old', '--no-wait');
    expect(begun.code).toBe(0);
    expect(begun.stdout).toMatch(/^mesh default, ca-1 -> ca-2: Trusting, for 0s\n\nbackend "ca-2" has not said yet/);
    expect((await cli.api.store.get(KEY))?.spec).toMatchObject({ offlineGraceMs: 600_000, dropOld: true });
    expect((await rotate('--status')).stdout).toContain('Trusting');
    expect((await rotate('--pause')).stdout).toContain('paused');
    const back = await rotate('--rollback', '--no-wait', '-o', 'json');
    expect(JSON.parse(back.stdout)).toMatchObject({ phase: 'RollingBack' });
  });

  it.each([
    [[], 2, 'say which backend shall issue; give --to BACKEND'],
    [['--status', '--rollback'], 2, 'do not go together'],
    [['--to', 'ca-2', '--pause'], 2, '--pause is about the rotation that is under way'],
    [['--to', 'ca-9'], 1, 'to: mesh default has no backend "ca-9"; first apply the Mesh with it'],
    [['--to', 'ca-2', '--offline', 'soon'], 1, 'offline: "soon" is neither wait nor a duration'],
    [['--status'], 1, 'there was none; begin one with weft ca rotate --mesh default --to BACKEND'],
    [['--rollback'], 1, 'no CA rotation of mesh default is under way'],
  ])('says what is wrong: %j', async (argv, code, text) => {
    const result = await rotate(...argv);
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(text)]);
  });
});
