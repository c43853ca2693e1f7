import { describe, expect, it } from 'vitest';
import { answerError } from './answers.ts';
import { type ResourceType, resolveType, typeNamed } from './resource-types.ts';

describe('answerError', () => {
  const error = (status: number, body: unknown) =>
    answerError({ status, text: typeof body === 'string' ? body : JSON.stringify(body) }, 'apply Mesh a', 'http://cp');

  it('takes the fields of the current and of the older error body', () => {
    const parameters = [{ field: 'name', reason: 'is wrong' }];
    const current = error(400, {
      title: 'Could not process a resource',
      detail: 'Resource is not valid',
      invalid_parameters: parameters,
    });
    expect(current).toMatchObject({
      code: 'invalid-resource',
      message: 'apply Mesh a: Could not process a resource',
      fields: parameters,
    });
    const older = error(400, { title: 'T', details: 'D', causes: [{ field: 'name', message: 'is wrong' }] });
    expect(older.fields).toEqual(parameters);
  });

  it.each([
    [401, 'denied'],
    [403, 'denied'],
    [404, 'not-found'],
    [405, 'refused'],
    [409, 'refused'],
    [500, 'server'],
    [503, 'server'],
  ])('gives %i the code %s', (status, code) => {
    expect(error(status, { title: 'T', detail: 'D' })).toMatchObject({ code, message: 'apply Mesh a: T: D' });
  });

  it('shows plain text as it is, cut to a sensible length', () => {
    expect(error(502, 'Bad Gateway\n').message).toBe('apply Mesh a: Bad Gateway');
    expect(error(502, 'x'.repeat(10_000)).message.length).toBe(2000);
    expect(error(502, '').message).toBe('apply Mesh a: HTTP 502');
  });
});

describe('resolveType', () => {
  const type = (name: string, path: string, singular: string, plural: string): ResourceType => ({
    name,
    path,
    singular,
    plural,
    scope: 'Mesh',
    readOnly: false,
    includeInFederation: true,
    targetRefPolicy: undefined,
  });
  const types = [
    type('Mesh', 'meshes', 'Mesh', 'Meshes'),
    type('GlobalSecret', 'global-secrets', 'Global Secret', 'Global Secrets'),
    type('MeshTLS', 'meshtlses', 'Mesh TLS', 'Mesh TLSes'),
  ];

  it.each([
    ['mesh', 'Mesh'],
    ['MESHES', 'Mesh'],
    ['globalsecret', 'GlobalSecret'],
    ['global-secrets', 'GlobalSecret'],
    ['GlobalSecrets', 'GlobalSecret'],
    ['meshtls', 'MeshTLS'],
    ['meshtlses', 'MeshTLS'],
  ])('takes %s for %s', (word, name) => {
    expect(resolveType(word, types).name).toBe(name);
  });

  it('suggests the nearest one', () => {
    expect(() => resolveType('mehses', types)).toThrow(
      expect.objectContaining({ code: 'usage', next: 'did you mean meshes?' }),
    );
    expect(() => typeNamed('mesh', types, 'a.yaml')).toThrow(
      expect.objectContaining({ code: 'input', next: 'did you mean Mesh?' }),
    );
  });
});
