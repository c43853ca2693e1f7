import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { caPluginProgram } from '../../control-plane/ca-plugins.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { createCaDependencies, createMemorySecrets, createRequest } from '../../testing/ca-contract.ts';
import { createTestCa } from '../../testing/certificates.ts';
import type { CaBackend, CaBackendKind, CaNotice } from '../backend.ts';
import { type CaPlugins, createCaPlugins } from './index.ts';
import { type PluginSetting, pluginSetting } from './setting.ts';

const ODD = join(import.meta.dirname, 'testdata/odd-plugin.mjs');
const CANARY = 'canary-4f1c9a7e55d2';
/** A process is started for each test, at a lower priority than the test itself: slow on a busy machine. */
vi.setConfig({ testTimeout: 60_000 });
const SOON = { timeout: 50_000 };
const never = new AbortController().signal;
const ca = await createTestCa();
const folder = mkdtempSync(join(tmpdir(), 'weft-ca-plugin-'));
const open: CaPlugins[] = [];

afterEach(async () => {
  for (const plugins of open.splice(0)) await plugins.close();
});
afterAll(() => rm(folder, { recursive: true }));

interface Running {
  readonly kind: CaBackendKind;
  readonly lines: readonly { readonly message: string; readonly text: string }[];
  readonly metrics: () => Promise<string>;
  backend(does: string): CaBackend;
}

/** Starts one plug-in. */
function start(change: Partial<PluginSetting> = {}, env: Record<string, string> = {}, heartbeatMs = 5000): Running {
  const lines: { message: string; text: string }[] = [];
  const metrics = createMetrics();
  const plugins = createCaPlugins({
    settings: [{ ...pluginSetting.parse({ type: 'odd', module: ODD, memoryMb: 64 }), ...change }],
    program: caPluginProgram(),
    workDir: folder,
    env: { SECRET_OF_THE_CONTROL_PLANE: 'x', ...env },
    clock: systemClock,
    random: () => 0.5,
    log: recorder(lines),
    metrics,
    heartbeatMs,
  });
  open.push(plugins);
  const kind = plugins.kinds[0]!;
  return {
    kind,
    lines,
    metrics: () => metrics.metrics(),
    backend: (does) => kind.open(config({ does, token: { secret: 'token' }, anchors: { inlineString: ca.pem } }), deps),
  };
}

function recorder(lines: { message: string; text: string }[]): Logger {
  const at = (message: string, fields?: Record<string, unknown>) =>
    void lines.push({ message, text: JSON.stringify(fields) });
  const log: Logger = { debug: at, info: at, warn: at, error: at, named: () => log };
  return log;
}

const config = (conf: Record<string, unknown>) => ({ mesh: 'default', name: 'odd-1', type: 'odd', conf });
const deps = createCaDependencies({ secrets: createMemorySecrets({ token: CANARY, other: 'not named' }) });

/** How `sign` ended. */
async function signed(backend: CaBackend, signal: AbortSignal = AbortSignal.timeout(50_000)): Promise<unknown> {
  return backend.sign(createRequest('default'), signal).then(
    (chain) => chain,
    (error: unknown) => error,
  );
}

describe('a plug-in', () => {
  it('says what to trust, and when to ask again', async () => {
    const { backend, kind } = start();
    const anchors = await backend('nothing').trustAnchors(never);
    expect(anchors.pem.trim()).toBe(ca.pem.trim());
    expect(anchors.refreshAt! - Date.now()).toBeGreaterThan(50_000);
    expect(kind.limits).toEqual({ concurrency: 3, perSecond: 7 });
  });

  it.each([
    ['throws', 'failed', /on holiday/],
    ['refuses', 'denied', /no such role/],
    ['throws null', 'failed', /null/],
    ['throws what has no text', 'failed', /no text/],
    ['rejects with nothing', 'failed', /undefined/],
    ['exit', 'unavailable', /exit code 3/],
    ['unhandled rejection', 'unavailable', /exit code 1/],
    ['uncaught exception', 'unavailable', /exit code 1/],
    ['eats the heap', 'unavailable', /not running/],
    ['eats memory beside the heap', 'unavailable', /MB is its limit/],
    ['answers nothing', 'invalid-answer', /chainPem/],
    ['answers a number', 'invalid-answer', /chainPem/],
    ['answers a circle', 'failed', /circular/],
    ['answers an empty text', 'invalid-answer', /no CERTIFICATE/],
    ['answers HTML', 'invalid-answer', /no CERTIFICATE/],
    ['answers a huge text', 'failed', /too much/],
    ['answers a deep text', 'unavailable', /no message/],
    ['answers twice', 'invalid-answer', /no CERTIFICATE/],
    ['writes garbage to the channel', 'unavailable', /no message/],
    ['floods the channel', 'unavailable', /floods/],
    ['floods the channel with small messages', 'unavailable', /floods/],
    ['sends a line without end', 'unavailable', /too large/],
    ['floods its output', 'invalid-answer', /no CERTIFICATE/],
  ])('that %s is an error "%s" of that call', async (does, code, message) => {
    const { backend, lines } = start();
    expect(await signed(backend(does))).toMatchObject({
      name: 'CaError',
      code,
      message: expect.stringMatching(message),
    });
    expect(lines.length).toBeLessThan(60);
  });

  it('that loops is ended, and is an error of that call', async () => {
    const error = await signed(start({}, {}, 700).backend('loops'));
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('does not answer') });
  });

  it('that never answers keeps its caller no longer than the caller waits, and is told', async () => {
    const { backend, lines } = start();
    const one = backend('never answers');
    await one.trustAnchors(never);
    expect(await signed(one, AbortSignal.timeout(100))).toMatchObject({ name: 'CaError', code: 'timeout' });
    await expect.poll(() => lines.map(({ text }) => text).join(), SOON).toContain('cancelled');
    expect(await one.trustAnchors(never)).toMatchObject({ notAfter: expect.any(Number) });
  });

  it('hands on the fix that comes with a failure', async () => {
    expect(await signed(start().backend('refuses'))).toMatchObject({ fix: 'step ca role add web\nstep ca reload' });
  });

  it('is started again after it ended: what was open works again, and says so', async () => {
    const { backend, metrics } = start();
    const one = backend('exit');
    const notices: CaNotice[] = [];
    await one.trustAnchors(never);
    one.notices?.((notice) => notices.push(notice));
    await signed(one);
    expect(await signed(one)).toMatchObject({ code: 'unavailable', reason: 'PluginDown' });
    await expect.poll(() => notices.map(({ kind }) => kind), SOON).toEqual(['problem', 'problem', 'changed']);
    expect(notices).toMatchObject([{ problem: { reason: 'PluginDown' } }, { problem: undefined }, {}]);
    expect(await one.trustAnchors(never)).toMatchObject({ pem: expect.stringContaining('BEGIN CERTIFICATE') });
    expect(await metrics()).toMatch(
      /weft_ca_plugin_restarts_total\{type="odd"\} 1[\s\S]*|weft_ca_plugin_up\{type="odd"\} 1/,
    );
  });

  it('that notices too much is heard once a second', async () => {
    const one = start().backend('notices too much');
    const notices: CaNotice[] = [];
    await one.trustAnchors(never);
    const since = Date.now();
    one.notices?.((notice) => notices.push(notice));
    await expect.poll(() => notices.length, SOON).toBeGreaterThan(1);
    expect(notices.length).toBeLessThan(3 + (Date.now() - since) / 1000);
    expect(notices[0]).toEqual({ kind: 'changed' });
  });

  it('sees no environment and no file but its own, and starts nothing', async () => {
    const error = await signed(start({ env: ['CHOSEN'] }, { CHOSEN: '1' }).backend('looks around'));
    const denied = 'ERR_ACCESS_DENIED';
    expect(JSON.parse((error as Error).message)).toEqual({
      env: ['CHOSEN'],
      environ: denied,
      passwd: denied,
      write: denied,
      spawn: denied,
    });
  });

  it('has its secrets taken out of its output, its log and its errors', async () => {
    const { backend, lines } = start();
    const error = await signed(backend('tells'));
    await expect
      .poll(() => lines.filter(({ message }) => message === 'a CA plug-in says').length, SOON)
      .toBeGreaterThan(2);
    expect((error as Error).message).toBe('it was ***');
    const all = JSON.stringify(lines);
    expect(all).toContain('the token of default/odd-1 is ***');
    expect(all).not.toContain(CANARY);
  });
});

describe('conf', () => {
  const validate = (kind: CaBackendKind, conf: Record<string, unknown>) =>
    kind.validate(config(conf), 'mtls.backends[1].conf', deps);

  it('is checked by the schema, the data sources, the egress rule and the plug-in, each violation at its field', async () => {
    const { kind } = start();
    expect(await validate(kind, { does: 'throws', token: { secret: 'token' } })).toEqual([]);
    const conf = { does: 'sleeps', tokn: 1, count: 0, anchors: { secret: 'nope' }, address: 'http://169.254.169.254/' };
    const violations = await validate(kind, conf);
    expect(violations.map(({ field }) => field.replace('mtls.backends[1].conf.', '')).sort()).toEqual([
      'address',
      'anchors',
      'count',
      'does',
      'tokn',
    ]);
    expect(violations.find(({ field }) => field.endsWith('tokn'))?.message).toBe('unknown field, use "token"');
    expect(await validate(kind, { token: { inlineString: 'bad' } })).toMatchObject([
      { field: 'mtls.backends[1].conf.token' },
    ]);
    expect(await validate(kind, { token: 'a text' })).toMatchObject([{ field: 'mtls.backends[1].conf.token' }]);
    expect(kind.usedSecrets(config({ token: { secret: 'token' } }))).toEqual(['token']);
  });

  it('cannot be checked while the plug-in is down, and says why', async () => {
    const { kind } = start({ module: join(folder, 'nothing.mjs') });
    expect(await validate(kind, {})).toMatchObject([
      { field: 'mtls.backends[1].conf', message: expect.stringMatching(/there is no .*nothing\.mjs.*skipValidation/) },
    ]);
  });
});

describe('a module that is no plug-in', () => {
  it.each([
    ['export default {};', /this is no CA plug-in: protocol has to be a text/],
    ['export default 5;', /this is no CA plug-in/],
    ['', /this is no CA plug-in/],
    ['syntax error', /cannot be loaded/],
    ['throw new Error("not today");', /not today/],
    ['process.exit(0);', /exit code 0/],
    ['export { default } from "a-package-that-is-not-there";', /a-package-that-is-not-there/],
    [
      'export default { protocol: "2.0", type: "odd", confSchema: { type: "object" }, open() {} };',
      /takes 1\.0 to 1\.0/,
    ],
    [
      'export default { protocol: "1.0", type: "even", confSchema: { type: "object" }, open() {} };',
      /its type is "even"/,
    ],
    ['export default { protocol: "1.0", type: "odd", confSchema: { type: "object" } };', /open has to be a function/],
    ['export default { protocol: "1.0", type: "odd", confSchema: { type: "text" }, open() {} };', /of type "object"/],
  ])('%s', async (source, message) => {
    const module = join(folder, `module-${Math.random().toString(36).slice(2)}.mjs`);
    writeFileSync(module, source);
    const { backend } = start({ module });
    await expect.poll(async () => String(await signed(backend('nothing'))), SOON).toMatch(message);
  });
});
