import { describe, expect, it } from 'vitest';
import { confSchemaProblem, confViolations, fieldOf } from './conf-schema.ts';

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: { type: 'string', format: 'uri' },
    count: { type: 'integer', minimum: 1 },
    mode: { enum: ['fast', 'safe'] },
    rules: {
      type: 'array',
      items: { type: 'object', additionalProperties: false, properties: { name: { type: 'string' } } },
    },
  },
};

it('takes JSON Schemas of objects', () => {
  expect(confSchemaProblem(schema)).toBeUndefined();
  expect(confSchemaProblem({ type: 'string' })).toContain('object');
  expect(confSchemaProblem({ type: 'object', properties: { a: { $ref: 'https://example.com/a' } } })).toContain('$ref');
  expect(confSchemaProblem({ type: 'object', properties: { a: { type: 'text' } } })).toContain('text');
});

describe('violations', () => {
  it.each([
    [{ url: 'anything, the control plane looks at it' }, []],
    [{}, ['url: has to be defined']],
    [{ url: 1, count: 0 }, ['url: has to be of type string', 'count: too small: expected number to be >=1']],
    [{ url: 'x', mode: 'quick' }, ['mode: has to be one of: fast, safe']],
    [{ url: 'x', cuont: 1 }, ['cuont: unknown field, use "count"']],
    [{ url: 'x', rules: [{}, { nam: 1 }] }, ['rules[1].nam: unknown field']],
    ['text', [': has to be of type object']],
  ])('%j: %j', (conf, expected) => {
    expect(confViolations(schema, conf).map(({ field, message }) => `${field}: ${message}`)).toEqual(expected);
  });

  it('never hold a value', () => {
    const violations = confViolations(schema, { url: 'x', mode: 'secret-1', count: 'secret-2', rules: 'secret-3' });
    expect(violations).toHaveLength(3);
    expect(JSON.stringify(violations)).not.toContain('secret-');
  });
});

it('fields are written as in a Mesh', () => {
  expect(fieldOf(['a', 0, 'b'])).toBe('a[0].b');
  expect(fieldOf([])).toBe('');
});
