import { describe, expect, it } from 'vitest';
import { OTHER_SERVICES, type SurveyedProxy, surveyExpiry } from './expiry-survey.ts';
import type { HeldLeaf, IssuanceFailure } from './identity.ts';

const HOUR = 3_600_000;
const NOW = 100 * HOUR;

function proxy(
  service: string,
  index: number,
  change: Partial<SurveyedProxy> & { endsIn?: number } = {},
): SurveyedProxy {
  const { endsIn = HOUR, ...rest } = change;
  const notAfter = NOW + endsIn;
  const leaf = { backend: 'ca-1', issuedAt: notAfter - 2 * HOUR, renewAt: notAfter - 0.5 * HOUR, notAfter } as HeldLeaf;
  return {
    key: { mesh: 'm', name: `${service}-${index}` },
    desired: {
      backend: 'ca-1',
      uriSans: [`spiffe://m/${service}`, `kuma://kuma.io/service/${service}`],
      lifetimeMs: 2 * HOUR,
      keyType: 'ec-p256',
    },
    leaf,
    ...rest,
  };
}

const survey = (
  proxies: readonly SurveyedProxy[],
  failures: Readonly<Record<string, IssuanceFailure>> = {},
  mostServices?: number,
) => surveyExpiry({ proxies: () => proxies, failure: ({ name }) => failures[name] }, NOW, mostServices);

describe('surveyExpiry', () => {
  it('counts states and finds the earliest end of each service and backend', () => {
    const old = { ...proxy('web', 0).leaf!, backend: 'old' };
    const { services } = survey([
      proxy('web', 1),
      proxy('web', 2, { endsIn: 0.4 * HOUR }),
      proxy('web', 3, { endsIn: -1 }),
      proxy('web', 4, { leaf: undefined }),
      proxy('web', 5, { leaf: old }),
      proxy('api', 1, { desired: undefined }),
    ]);
    expect(services).toEqual([
      {
        mesh: 'm',
        service: 'web',
        backend: 'ca-1',
        states: { none: 1, valid: 1, due: 1, overdue: 0, expired: 1 },
        earliestEnd: NOW - 1,
      },
      {
        mesh: 'm',
        service: 'web',
        backend: 'old',
        states: { none: 0, valid: 1, due: 0, overdue: 0, expired: 0 },
        earliestEnd: NOW + HOUR,
      },
    ]);
  });

  it('says how many wait for a backend, and for how long', () => {
    const failure = (since: number, nextAttemptAt: number) => ({
      message: 'no',
      at: NOW,
      since,
      attempts: 2,
      nextAttemptAt,
    });
    const { backends, backingOff } = survey([proxy('web', 1), proxy('web', 2), proxy('web', 3)], {
      'web-1': failure(NOW - 5000, NOW + 1),
      'web-2': failure(NOW - 9000, NOW - 1),
    });
    expect(backends).toEqual([{ mesh: 'm', backend: 'ca-1', failing: 2, oldestSince: NOW - 9000 }]);
    expect(backingOff).toBe(1);
  });

  it('has a line for services in trouble and large ones, and one for all others', () => {
    const proxies = [
      ...[1, 2, 3].map((index) => proxy('large', index)),
      ...[1, 2].map((index) => proxy('middle', index)),
      proxy('small', 1),
      proxy('tiny', 1, { endsIn: 0.9 * HOUR }),
      proxy('broken', 1, { endsIn: 1 }),
    ];
    const { services } = survey(proxies, {}, 2);
    expect(services.map(({ service, states }) => [service, states.valid, states.overdue])).toEqual([
      ['broken', 0, 1],
      ['large', 3, 0],
      [OTHER_SERVICES, 4, 0],
    ]);
    expect(services.at(-1)!.earliestEnd).toBe(NOW + 0.9 * HOUR);
  });
});
