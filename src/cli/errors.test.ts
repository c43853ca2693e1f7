import { describe, expect, it } from 'vitest';
import { ConfigError } from '../control-plane/config.ts';
import { CliError, errorJson, errorText, toCliError, usageError } from './errors.ts';

describe('errorText', () => {
  it('is one line with reason and next step', () => {
    expect(errorText(usageError('unknown command "gett"', 'did you mean get?'))).toBe(
      'error: unknown command "gett"; did you mean get?\n',
    );
  });

  it('names the field when there is one, and lists several', () => {
    const one = new CliError('invalid-resource', 'apply Mesh a', { fields: [{ field: 'name', reason: 'is wrong' }] });
    expect(errorText(one)).toBe('error: apply Mesh a: name: is wrong\n');
    const two = new CliError('invalid-resource', 'apply Mesh a', {
      fields: [
        { field: 'name', reason: 'is wrong' },
        { field: '', reason: 'is odd' },
      ],
      next: 'correct it',
    });
    expect(errorText(two)).toBe('error: apply Mesh a: 2 problems; correct it\n  name: is wrong\n  is odd\n');
  });

  it('keeps what is to be pasted on lines of its own', () => {
    const error = new CliError('invalid-resource', 'apply Mesh a', {
      fields: [{ field: 'role', reason: 'drops names; to mend it:\nvault write a \\\n  b=c\n' }],
      next: 'correct it',
    });
    expect(errorText(error)).toBe(
      'error: apply Mesh a: 1 problem; correct it\n  role: drops names; to mend it:\n    vault write a \\\n      b=c\n',
    );
  });
});

describe('errorJson', () => {
  it('has the same facts', () => {
    expect(JSON.parse(errorJson(usageError('no', 'yes')))).toEqual({
      error: { code: 'usage', message: 'no', fields: [], next: 'yes' },
    });
  });
});

describe('toCliError', () => {
  it('keeps every problem of a configuration', () => {
    const error = toCliError(
      new ConfigError([{ field: 'stor', reason: 'unknown key', suggestion: 'store' }], ' a.yaml'),
    );
    expect(error.code).toBe('config');
    expect(error.message).toBe('read control plane configuration a.yaml');
    expect(error.fields).toEqual([{ field: 'stor', reason: 'unknown key, did you mean store?' }]);
  });
});
