import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { CliError } from '../errors.ts';
import { fillPlaceholders, parseDocuments, readDocuments } from './documents.ts';

const parse = (text: string) => parseDocuments({ name: 'a.yaml', text });
const refusal = async (text: string) => {
  const error = await parse(text).catch((thrown: unknown) => thrown);
  return error instanceof CliError ? error.fields : error;
};

describe('fillPlaceholders', () => {
  it('replaces known keys and leaves others as they are', () => {
    expect(fillPlaceholders('{{ a }} {{b}} {{ .Name }} {{ a.b }}', { a: '1', 'a.b': '2' })).toBe(
      '1 {{b}} {{ .Name }} 2',
    );
  });
});

describe('parseDocuments', () => {
  it('reads YAML and JSON documents and skips empty ones', async () => {
    const found = await parse('---\n{"type": "Mesh", "name": "a"}\n---\n# nothing\n---\ntype: Mesh\nname: b\n');
    expect(found.map(({ data }) => data['name'])).toEqual(['a', 'b']);
    await expect(parse('')).resolves.toEqual([]);
  });

  it('names every document that is wrong, and why', async () => {
    const text =
      'type: Mesh\n---\n- a\n---\napiVersion: kuma.io/v1alpha1\nkind: Mesh\n---\nname: x\n---\ntype: Mesh\nname: ok\n';
    await expect(refusal(text)).resolves.toEqual([
      { field: 'a.yaml, document 1', reason: 'name: must be defined' },
      { field: 'a.yaml, document 2', reason: 'a resource must be an object' },
      { field: 'a.yaml, document 3', reason: expect.stringContaining('Kubernetes form') },
      { field: 'a.yaml, document 4', reason: 'type: must be defined' },
    ]);
  });

  it('says where it is not YAML, and which value was not given', async () => {
    await expect(refusal('type: [Mesh\nname: a\n')).resolves.toMatchObject([
      { reason: expect.stringMatching(/^not YAML at line 2/) },
    ]);
    await expect(refusal('type: Mesh\nname: {{ name }}\n')).resolves.toMatchObject([
      { reason: expect.stringContaining('-v name=...') },
    ]);
  });

  it('takes any text without an untyped error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (text) => {
        const result = await parse(text).catch((thrown: unknown) => thrown);
        expect(Array.isArray(result) || result instanceof CliError).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('readDocuments', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-documents-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const io = {
    stdout: () => {},
    stderr: () => {},
    readStdin: async () => 'typed',
    env: {},
    home: folder,
    now: () => 0,
    interactive: false,
    terminal: false,
    signal: new AbortController().signal,
  };

  it('takes standard input, a file, and the YAML and JSON files of a folder in order', async () => {
    for (const name of ['b.yaml', 'a.json', 'c.txt']) writeFileSync(join(folder, name), name);
    await expect(readDocuments('-', io)).resolves.toEqual([{ name: 'standard input', text: 'typed' }]);
    const found = await readDocuments(folder, io);
    expect(found.map(({ text }) => text)).toEqual(['a.json', 'b.yaml']);
    await expect(readDocuments(join(folder, 'none.yaml'), io)).rejects.toThrow('no such file or folder');
  });
});
