import { describe, expect, it } from 'vitest';
import { fillVariables, readResourceIdentity } from './resource.ts';

describe('fillVariables', () => {
  it('fills in every variable, blanks in the braces or not', () => {
    expect(fillVariables('name: {{name}}\naddress: {{ address }}', { name: 'web', address: '10.0.0.1' })).toBe(
      'name: web\naddress: 10.0.0.1',
    );
  });

  it('names every variable without a value', () => {
    expect(() => fillVariables('{{ a }}{{ b }}{{ constructor }}', { b: '1' })).toThrow(
      'fill in the Dataplane template: no value for a, constructor; add -v a=… -v constructor=…',
    );
  });
});

describe('readResourceIdentity', () => {
  const expected = { type: 'Dataplane', mesh: 'shop', name: 'web-1' };

  it.each([
    ['plain YAML', 'type: Dataplane\nmesh: shop\nname: web-1 # the first\nnetworking:\n  name: inner\n'],
    ['quoted YAML', `type: "Dataplane"\r\nmesh: 'shop'\r\nname: "web-1"\r\n`],
    ['YAML with a document marker', '---\ntype: Dataplane\nmesh: shop\nname: web-1\n'],
    ['YAML in flow style', '{ type: Dataplane, mesh: shop, name: web-1 }'],
    ['YAML with an alias', 'type: Dataplane\nmesh: &m shop\nname: web-1'],
    ['JSON', '{"type":"Dataplane","mesh":"shop","name":"web-1"}'],
  ])('reads %s', async (_form, text) => {
    expect(await readResourceIdentity(text)).toEqual(expected);
  });

  it('takes the mesh for default when it is missing', async () => {
    expect(await readResourceIdentity('type: Dataplane\nname: a')).toEqual({
      type: 'Dataplane',
      mesh: 'default',
      name: 'a',
    });
  });

  it.each([
    ['name is missing', 'type: Dataplane\nmesh: shop\n'],
    ['type is missing', 'name: a\n'],
    ['not YAML or JSON', 'type: [\n'],
    ['expected an object', '- 1\n'],
  ])('says when %s', async (message, text) => {
    await expect(readResourceIdentity(text)).rejects.toThrow(message);
  });
});
