import type { ExpectedUse } from '../backend.ts';

/** Renewal is drawn uniformly from 70-80 % of a leaf's life (`identity/decide`). */
const MEAN_RENEWAL = 0.75;
/** As AWS counts: 730 hours. */
const MONTH_MS = 730 * 3_600_000;
/** Certificates of one CA in its whole life, unless AWS raised it. Source: AWS Private CA, "Quotas". */
const CERTIFICATES_PER_CA = 1_000_000;

/** How many certificates a month `proxies` take, each with one leaf that is renewed for good. Restarts of proxies and changes of their tags come on top. */
export function certificatesPerMonth({ proxies, leafLifetimeMs }: ExpectedUse): number {
  return Math.ceil((proxies * MONTH_MS) / (MEAN_RENEWAL * leafLifetimeMs));
}

/** What many leaves mean with AWS Private CA, which is paid by the certificate. */
export function usageLines(use: ExpectedUse): readonly string[] {
  const monthly = certificatesPerMonth(use);
  const { proxies, perSecond } = use;
  const lines = [
    `about ${count(monthly)} certificates a month: ${count(proxies)} ${proxies === 1 ? 'proxy' : 'proxies'}, leaves of ${span(use.leafLifetimeMs)}, renewed after 75 % of it; each is paid for (https://aws.amazon.com/private-ca/pricing/)`,
  ];
  if (proxies === 0) return lines;
  const months = CERTIFICATES_PER_CA / monthly;
  const lasts =
    months < 1
      ? span(months * MONTH_MS)
      : months < 24
        ? `${Math.floor(months)} months`
        : `${count(Math.floor(months / 12))} years`;
  lines.push(`the quota of ${count(CERTIFICATES_PER_CA)} certificates of one CA lasts ${lasts}`);
  if (perSecond !== undefined) {
    lines.push(`all leaves at once take ${span((proxies / perSecond) * 1000)} at ${perSecond} a second`);
  }
  return lines;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** In the largest unit that it is at least two of. */
function span(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
  ] as const;
  const [size, unit] = units.find(([one]) => ms >= 2 * one) ?? [1000, 's'];
  return `${Math.ceil(ms / size)} ${unit}`;
}
