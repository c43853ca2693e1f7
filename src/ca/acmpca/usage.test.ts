import { expect, it } from 'vitest';
import { certificatesPerMonth, usageLines } from './usage.ts';

const HOUR = 3_600_000;

it('counts the certificates of a month', () => {
  // 730 hours, each leaf after 18: 40.6 certificates of each proxy.
  expect(certificatesPerMonth({ proxies: 100, leafLifetimeMs: 24 * HOUR })).toBe(4056);
  expect(certificatesPerMonth({ proxies: 0, leafLifetimeMs: 24 * HOUR })).toBe(0);
});

it('says what they mean', () => {
  expect(usageLines({ proxies: 1000, leafLifetimeMs: 24 * HOUR, perSecond: 25 })).toEqual([
    'about 40,556 certificates a month: 1,000 proxies, leaves of 24 h, renewed after 75 % of it; each is paid for (https://aws.amazon.com/private-ca/pricing/)',
    'the quota of 1,000,000 certificates of one CA lasts 2 years',
    'all leaves at once take 40 s at 25 a second',
  ]);
  expect(usageLines({ proxies: 1, leafLifetimeMs: HOUR })[0]).toMatch(/1 proxy, leaves of 60 min/);
  expect(usageLines({ proxies: 5000, leafLifetimeMs: HOUR })[1]).toMatch(/lasts 7 d/);
  expect(usageLines({ proxies: 0, leafLifetimeMs: HOUR })).toHaveLength(1);
});
