import { describe, expect, it } from 'vitest';
import type { Pod } from '../api/core-kinds.ts';
import { meshOfPod } from './decide.ts';

describe('meshOfPod', () => {
  const one = (labels?: Record<string, string>, annotations?: Record<string, string>) => ({
    metadata: { name: 'x', ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
  });
  const M = 'kuma.io/mesh';
  it.each<[string, Pod, Pod | undefined, string]>([
    ['nothing said', one(), one(), 'default'],
    ['no namespace known', one(), undefined, 'default'],
    ['Pod label', one({ [M]: 'a' }, { [M]: 'b' }), one({ [M]: 'c' }), 'a'],
    ['Pod annotation', one({}, { [M]: 'b' }), one({ [M]: 'c' }), 'b'],
    ['Namespace label', one(), one({ [M]: 'c' }, { [M]: 'd' }), 'c'],
    ['Namespace annotation', one(), one({}, { [M]: 'd' }), 'd'],
    ['empty label', one({ [M]: '' }), one({ [M]: 'c' }), 'c'],
  ])('%s', (_what, pod, namespace, expected) => {
    expect(meshOfPod(pod, namespace?.metadata)).toBe(expected);
  });
});
