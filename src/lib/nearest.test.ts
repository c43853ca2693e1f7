import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

describe('editDistance', () => {
  it('counts inserts, deletes, replacements and swaps as one edit each', () => {
    expect(editDistance('mesh', 'mesh')).toBe(0);
    expect(editDistance('mesh', 'meshes')).toBe(2);
    expect(editDistance('mehs', 'mesh')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
  });
});

describe('nearest', () => {
  it('finds the closest candidate whatever the letter case', () => {
    expect(nearest('dataplnae', ['meshes', 'dataplanes', 'dataplane'])).toBe('dataplane');
    expect(nearest('TLSCERTFILE', ['tlsKeyFile', 'tlsCertFile'])).toBe('tlsCertFile');
  });

  it('finds nothing when all candidates are far away', () => {
    expect(nearest('banana', ['meshes', 'dataplanes'])).toBeUndefined();
  });
});
