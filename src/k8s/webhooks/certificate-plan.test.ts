import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bundleOf, CERTIFICATE_LIVES, type HeldCertificates, nextStep, takeStep } from './certificate-plan.ts';
import { certificateSecret, parseCertificateSecret } from './certificate-secret.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1);
const names = ['weft-control-plane.sys.svc', '127.0.0.1'];
const options = (now: number) => ({ names, now, lives: CERTIFICATE_LIVES });

describe('the plan of the admission certificate', () => {
  it('renews at two thirds, and rolls the CA over without a moment in which anybody is not trusted', async () => {
    let held: HeldCertificates | undefined;
    let now = START;
    const steps: string[] = [];
    while (now < START + 400 * DAY) {
      const { step, at } = nextStep(held, options(now));
      now = Math.max(now, at);
      const before: HeldCertificates | undefined = held;
      held = await takeStep(held, step, options(now));
      steps.push(`${Math.round((now - START) / DAY)} ${step}`);
      // Trusted before it is shown, and shown only while the CA is good.
      if (before !== undefined) expect(bundleOf(before)).toContain(held.ca.certPem);
      expect(bundleOf(held)).toContain(before?.ca.certPem ?? '');
      expect(new X509Certificate(held.serving.certPem).verify(new X509Certificate(held.ca.certPem).publicKey)).toBe(
        true,
      );
      expect(new X509Certificate(held.ca.certPem).validToDate.getTime()).toBeGreaterThan(
        new X509Certificate(held.serving.certPem).validToDate.getTime(),
      );
      if (step === 'drop-ca') {
        expect(bundleOf(held)).toBe(held.ca.certPem);
        break;
      }
    }
    expect(steps).toEqual([
      '0 create',
      ...Array.from({ length: 13 }, (_, index) => `${20 * (index + 1)} renew`),
      '275 introduce-ca',
      '275 switch-ca',
      '275 drop-ca',
    ]);
  }, 60_000);

  it('does not wait with what does not serve: another name, a CA that has ended, a leaf of another CA', async () => {
    const held = await takeStep(undefined, 'create', options(START));
    const other = await takeStep(undefined, 'create', options(START));
    expect(nextStep(held, { ...options(START), names: ['new.sys.svc'] })).toEqual({ step: 'renew', at: START });
    expect(nextStep(held, options(START + 365 * DAY)).step).toBe('create');
    expect(nextStep({ ...held, serving: other.serving }, options(START))).toEqual({ step: 'renew', at: START });
  });
});

describe('the Secret of the admission certificate', () => {
  it('reads what it wrote', async () => {
    const first = await takeStep(undefined, 'create', options(START));
    const rolling = await takeStep(await takeStep(first, 'introduce-ca', options(START)), 'switch-ca', options(START));
    const again = await takeStep(rolling, 'introduce-ca', options(START));
    for (const held of [first, rolling, again]) {
      expect(parseCertificateSecret(certificateSecret(held, 'sys'))).toEqual(held);
    }
    expect(certificateSecret(first, 'sys', '7')).toMatchObject({
      type: 'kubernetes.io/tls',
      metadata: { name: 'weft-webhook-tls', namespace: 'sys', resourceVersion: '7' },
    });
  });

  it('takes nothing that is damaged', async () => {
    const secret = certificateSecret(await takeStep(undefined, 'create', options(START)), 'sys');
    const other = certificateSecret(await takeStep(undefined, 'create', options(START)), 'sys');
    const damaged = (data: Record<string, unknown>) =>
      parseCertificateSecret({ ...secret, data: { ...secret.data, ...data } as Record<string, string> });
    expect(damaged({})).toBeDefined();
    expect(damaged({ 'tls.key': other.data!['tls.key'] })).toBeUndefined();
    expect(damaged({ 'signing.crt': 'eA==' })).toBeUndefined();
    expect(damaged({ 'ca.crt': 1 })).toBeUndefined();
    expect(parseCertificateSecret({ ...secret, data: {} })).toBeUndefined();
  });
});
