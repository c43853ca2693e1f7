import { expect, it } from 'vitest';
import { lifetimeFindings } from './lifetime-findings.ts';

const DAY = 86_400_000;
const PATH = 'mtls.backends[1].conf';
const FIELD = 'mtls.backends[1].dpCert.rotation.expiration';
const find = (leafLifetimeMs: number, shortLived: boolean, endsInMs = 365 * DAY) =>
  lifetimeFindings(
    { anchors: { pem: '', notAfter: endsInMs }, shortLived },
    { leafLifetimeMs, conf: { arn: 'arn' } },
    PATH,
    0,
  );

it('finds leaves that a CA in short-lived mode does not give', () => {
  expect(find(8 * DAY, true)).toEqual([{ field: FIELD, message: expect.stringContaining('7d at most') }]);
  expect(find(7 * DAY, true)).toEqual([]);
  expect(find(8 * DAY, false)).toEqual([]);
});

it('finds leaves that would outlive the CA', () => {
  expect(find(DAY, false, DAY - 1)).toEqual([{ field: FIELD, message: expect.stringContaining('renew') }]);
  expect(find(DAY, false, DAY)).toEqual([]);
});
