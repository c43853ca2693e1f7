import { describe, expect, it } from 'vitest';
import { durationOption, type Invocation, listOption, mapOption, type OptionValues } from './command.ts';
import type { CliIo } from './io.ts';

const io: CliIo = {
  stdout: () => {},
  stderr: () => {},
  readStdin: async () => '',
  env: {},
  home: '/none',
  now: () => 0,
  interactive: false,
  terminal: false,
  signal: new AbortController().signal,
};
const call = (options: OptionValues): Invocation => ({ args: [], options, io });

describe('mapOption', () => {
  it('takes repeated pairs, pairs in one value, and commas inside a value', () => {
    expect(mapOption(call({ tag: ['a=1', 'b=2,c=3', 'd=4,5,6', 'e='] }), 'tag')).toEqual({
      a: '1',
      b: '2',
      c: '3',
      d: '4,5,6',
      e: '',
    });
  });

  it('refuses a pair without =', () => {
    expect(() => mapOption(call({ tag: ['web'] }), 'tag')).toThrow('--tag: "web" has no =');
  });
});

describe('listOption', () => {
  it('splits at commas and drops empty items', () => {
    expect(listOption(call({ scope: ['ingress,egress', '', 'cp'] }), 'scope')).toEqual(['ingress', 'egress', 'cp']);
    expect(listOption(call({}), 'scope')).toEqual([]);
  });
});

describe('durationOption', () => {
  it('reads Go durations and refuses the rest', () => {
    expect(durationOption(call({ validFor: '1h30m' }), 'validFor', 'valid-for')).toBe(5_400_000);
    expect(durationOption(call({}), 'validFor', 'valid-for')).toBeUndefined();
    expect(() => durationOption(call({ validFor: '-1h' }), 'validFor', 'valid-for')).toThrow('not a duration');
    expect(() => durationOption(call({ validFor: '1 day' }), 'validFor', 'valid-for')).toThrow('not a duration');
  });
});
