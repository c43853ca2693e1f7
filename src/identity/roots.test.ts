import { beforeEach, describe, expect, it } from 'vitest';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import type { HeldLeaf } from './identity.ts';
import { createRoots, type Roots } from './roots.ts';

let clock: DrivenClock;
let roots: Roots;
let changes: number;
const leaf = (anchorPem: string, issuedAt = 0, lifeMs = 3_600_000) =>
  ({ anchorPem, issuedAt, notAfter: clock.now() + lifeMs }) as HeldLeaf;
beforeEach(() => {
  clock = createDrivenClock();
  changes = 0;
  roots = createRoots(clock, () => {
    changes += 1;
  });
});

describe('roots', () => {
  it('are trusted until the last leaf under them was replaced and its proxy had a minute', async () => {
    const [one, two] = [leaf('A', 1), leaf('A', 2)];
    roots.add('m//ca', one);
    roots.add('m//ca', two);
    roots.add('m//ca', leaf('B', 3));
    roots.remove('m//ca', one, true);
    await clock.advance(120_000);
    expect([roots.of('m//ca'), roots.newest('m//ca'), changes]).toEqual([['A', 'B'], 'B', 2]);
    roots.remove('m//ca', two, true);
    await clock.advance(59_000);
    expect(roots.of('m//ca')).toEqual(['A', 'B']);
    await clock.advance(1000);
    expect([roots.of('m//ca'), changes]).toEqual([['B'], 3]);
  });

  it('are gone at once with a leaf that expired or whose proxy is gone', async () => {
    const short = leaf('A', 1, 10_000);
    roots.add('m//ca', short);
    roots.remove('m//ca', short, false);
    expect(roots.of('m//ca')).toEqual([]);
    roots.add('m//ca', short);
    roots.remove('m//ca', short, true);
    await clock.advance(10_000);
    expect(roots.of('m//ca')).toEqual([]);
  });

  it('are those of their backend only', () => {
    roots.add('m//ca', leaf('A'));
    expect([roots.of('m//other'), roots.newest('m//other')]).toEqual([[], undefined]);
  });
});
