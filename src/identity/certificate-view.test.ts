import { describe, expect, it } from 'vitest';
import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import { type CertificateKnowledge, certificateView } from './certificate-view.ts';
import type { DesiredIdentity, HeldLeaf } from './identity.ts';

const HOUR = 3_600_000;
const uriSans = ['spiffe://default/web', 'kuma://kuma.io/service/web'];
const desired: DesiredIdentity = { backend: 'ca-1', uriSans, lifetimeMs: 24 * HOUR, keyType: 'ec-p256' };
const leaf: HeldLeaf = {
  chainPem: 'CHAIN',
  keyPem: 'KEY',
  serial: '0a',
  uriSans,
  backend: 'ca-1',
  issuer: 'CN=ca',
  notBefore: -10_000,
  notAfter: 24 * HOUR,
  issuedAt: 0,
  renewAt: 18 * HOUR,
  generation: 3,
};
const failure = { message: 'no answer', at: HOUR, since: 0, attempts: 2, nextAttemptAt: 2 * HOUR };
const NOTHING = { desired: undefined, leaf: undefined, failure: undefined };
const at = (ms: number) => new Date(ms).toISOString();
const online = { subscriptions: [{ connectTime: at(0) }] };
const written: DataplaneInsightSpec = {
  ...online,
  mTLS: {
    certificateExpirationTime: at(24 * HOUR),
    lastCertificateRegeneration: at(0),
    certificateRegenerations: 3,
    issuedBackend: 'ca-1',
  },
  weft: {
    certificate: { serial: '0a', issuer: 'CN=ca', uriSans, notBefore: at(-10_000), renewAt: at(18 * HOUR) },
    issuanceFailure: { message: 'no answer', at: at(HOUR), attempts: 2, nextAttemptAt: at(2 * HOUR) },
  },
};

function view(change: Partial<CertificateKnowledge>, now = 19 * HOUR) {
  const proxy = { mesh: 'default', name: 'web-1' };
  return certificateView({ proxy, desired, own: NOTHING, insight: undefined, ...change }, now);
}

describe('certificateView', () => {
  it('shows the leaf at hand, and never its key', () => {
    const shown = view({ own: { desired, leaf, failure } });
    expect(shown).toMatchObject({ state: 'due', serial: '0a', services: ['web'], generation: 3, failure });
    expect(JSON.stringify(shown)).not.toMatch(/CHAIN|KEY/);
  });

  it('shows the same of a proxy of another control plane, whose leaf is known from its record or from the insight', () => {
    const fromRecord = view({ own: { ...NOTHING, leaf }, insight: written });
    expect(fromRecord).toMatchObject({ state: 'due', serial: '0a', failure: { ...failure, since: HOUR } });
    expect(view({ insight: written })).toEqual({ ...fromRecord, anchorFingerprint: undefined });
  });

  it('knows that a leaf has expired which nobody holds any more', () => {
    expect(view({ insight: written }, 25 * HOUR).state).toBe('expired');
  });

  it.each([
    ['none', 'mTLS is off', { desired: undefined, own: { ...NOTHING, leaf }, insight: written }],
    ['none', 'it never connected', {}],
    ['none', 'it is connected here and waits', { own: { ...NOTHING, desired }, insight: online }],
    [
      'none',
      'it could not be issued elsewhere',
      { insight: { ...online, weft: { issuanceFailure: { message: 'no' } } } },
    ],
    ['unknown', 'it is connected elsewhere, and nothing is written', { insight: online }],
    ['external', 'the insight says who issues, and not until when', { insight: { mTLS: { issuedBackend: 'spire' } } }],
  ] as const)('is %s when %s', (state, _why, change) => {
    expect(view(change).state).toBe(state);
  });
});
