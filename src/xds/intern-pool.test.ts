import { expect, test } from 'vitest';
import { createInternPool, createRecentMap } from './intern-pool.ts';

test('a pool makes a value once for as long as someone holds it', () => {
  const pool = createInternPool<{ n: number }>();
  const first = pool.get('a', () => ({ n: 1 }));
  expect(pool.get('a', () => ({ n: 2 }))).toBe(first);
  expect(pool.get('b', () => ({ n: 2 }))).not.toBe(first);
  expect(pool.size).toBe(2);
});

test('a recent map keeps what is used and forgets the rest', () => {
  const made: string[] = [];
  const map = createRecentMap<string>(2);
  const get = (key: string) =>
    map.get(key, () => {
      made.push(key);
      return key.toUpperCase();
    });
  for (const key of ['a', 'b', 'a', 'c', 'a', 'd', 'a', 'e', 'a', 'b']) expect(get(key)).toBe(key.toUpperCase());
  expect(made).toEqual(['a', 'b', 'c', 'd', 'e', 'b']);
});
