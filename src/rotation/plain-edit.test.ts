import { describe, expect, it } from 'vitest';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import type { MeshMtls } from '../resources/kinds/mesh.ts';
import { caEditViolations } from './plain-edit.ts';
import type { Rotation } from './rotation.ts';

const mtls = (enabledBackend: string, ...names: string[]): MeshMtls => ({
  enabledBackend,
  backends: names.map((name) => ({ name, type: 'builtin' })),
});
const insight = (issuedBackend: string, supportedBackends: string[], connected = true): DataplaneInsightSpec => ({
  subscriptions: [
    { connectTime: '2026-01-01T00:00:00Z', ...(connected ? {} : { disconnectTime: '2026-01-02T00:00:00Z' }) },
  ],
  mTLS: { issuedBackend, supportedBackends },
});
const rotation = (phase: Rotation['phase']): Rotation => ({
  kind: 'switch',
  from: 'one',
  to: 'two',
  phase,
  paused: false,
  dropOld: false,
  startedAt: '2026-01-01T00:00:00Z',
  phaseSince: '2026-01-01T00:00:00Z',
  startedBy: 'me',
});

function edit(
  before: MeshMtls,
  after: MeshMtls,
  insights: Record<string, DataplaneInsightSpec> = {},
  running?: Rotation,
): readonly string[] {
  const found = caEditViolations({
    mesh: 'shop',
    before,
    after,
    insights: new Map(Object.entries(insights)),
    rotation: running,
  });
  return found.map(({ field, message }) => `${field}: ${message}`);
}

const both = ['one', 'two'];

describe('an edit of a Mesh', () => {
  it.each([
    ['a backend is added', mtls('one', 'one'), mtls('one', 'one', 'two')],
    ['all proxies have acknowledged the new CA', mtls('one', ...both), mtls('two', ...both)],
    ['mTLS goes off', mtls('one', ...both), {}],
    ['mTLS goes on', {}, mtls('two', 'two')],
  ])('is taken: %s', (_what, before, after) => {
    expect(edit(before, after, { web: insight('one', both) })).toEqual([]);
  });

  it('does not wait for proxies that are away', () => {
    expect(edit(mtls('one', ...both), mtls('two', ...both), { gone: insight('one', ['one'], false) })).toEqual([]);
  });

  it('is refused when the new backend was not listed before, with the step that is missing', () => {
    const found = edit(mtls('one', 'one'), mtls('two', ...both));
    expect(found).toEqual([
      expect.stringMatching(/^mtls.enabledBackend: cannot switch .* first apply the Mesh with both/),
    ]);
    expect(found[0]).toContain('weft ca rotate --mesh shop --to two');
  });

  it('is refused while a proxy has not acknowledged the new CA', () => {
    expect(edit(mtls('one', ...both), mtls('two', ...both), { web: insight('one', ['one']) })).toEqual([
      'mtls.enabledBackend: cannot issue from "two" yet: its CA is not acknowledged by 1 connected proxy (web); run weft ca rotate --mesh shop --to two, which waits for them, or apply again later',
    ]);
  });

  it('is refused when it drops a backend whose certificates are presented, also when a newer one was only issued', () => {
    const [before, after] = [mtls('two', ...both), mtls('two', 'two')];
    expect(edit(before, after, { web: insight('one', both) })).toEqual([
      expect.stringContaining('mtls.backends: cannot remove "one" yet: its certificates are still presented by 1'),
    ]);
    const notTaken = { ...insight('two', both), weft: { acknowledged: { certificate: { backend: 'one' } } } };
    expect(edit(before, after, { web: notTaken })).toHaveLength(1);
    expect(edit(before, after, { web: insight('two', both) })).toEqual([]);
  });

  describe('while a rotation is under way', () => {
    const listed = mtls('one', ...both);
    it.each([
      ['another backend', listed, mtls('three', ...both, 'three'), 'Trusting'],
      ['back, past the rotation', mtls('two', ...both), listed, 'Issuing'],
      ['the new backend goes', listed, mtls('one', 'one'), 'Trusting'],
      ['the old backend goes too early', mtls('two', ...both), mtls('two', 'two'), 'Issuing'],
    ] as const)('is refused when it contradicts: %s', (_what, before, after, phase) => {
      expect(edit(before, after, {}, rotation(phase))).toEqual([
        expect.stringMatching(/cannot be changed now: a rotation from "one" to "two" is under way .*--rollback/),
      ]);
    });

    it.each([
      ['the switch', listed, mtls('two', ...both), 'Trusting'],
      ['the way back', mtls('two', ...both), listed, 'RollingBack'],
      ['the old backend goes', mtls('two', ...both), mtls('two', 'two'), 'Retiring'],
      ['a backend that has no part in it', mtls('one', ...both, 'three'), listed, 'Trusting'],
      ['mTLS goes off', listed, {}, 'Issuing'],
    ] as const)('is taken when it is what the rotation does, or ends it: %s', (_what, before, after, phase) => {
      expect(edit(before, after, {}, rotation(phase))).toEqual([]);
    });
  });
});
