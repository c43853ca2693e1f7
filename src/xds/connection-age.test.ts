import fc from 'fast-check';
import { expect, it } from 'vitest';
import { clientConnectionAgeS, serverConnectionAgeS } from './connection-age.ts';

const DAY_MS = 86_400_000;

it('lets the client end a connection first, and both before a leaf that was due at its begin is over by much', () => {
  fc.assert(
    fc.property(fc.integer({ min: 60_000, max: 365 * DAY_MS }), fc.string(), (life, destination) => {
      const client = clientConnectionAgeS(life, destination);
      const server = serverConnectionAgeS(life);
      expect(client).toBeLessThanOrEqual(server);
      expect(client).toBeLessThanOrEqual(Math.max(1, Math.round((0.2 * life) / 1000)));
      expect(client).toBe(clientConnectionAgeS(life, destination));
    }),
  );
});

it('differs between destinations, and is never less than a second', () => {
  const ages = new Set(Array.from({ length: 50 }, (_, index) => clientConnectionAgeS(DAY_MS, `service-${index}`)));
  expect(ages.size).toBeGreaterThan(25);
  expect(Math.min(...ages)).toBeGreaterThanOrEqual(0.15 * 86_400);
  expect([clientConnectionAgeS(2000, 'api'), serverConnectionAgeS(2000)]).toEqual([1, 1]);
});
