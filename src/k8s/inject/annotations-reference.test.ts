import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TEST_INJECTOR_SETTINGS } from '../../testing/injector-settings.ts';
import {
  annotationWarnings,
  KNOWN_ANNOTATIONS,
  readWishes,
  USED_ANNOTATIONS,
  WITHOUT_EFFECT_ANNOTATIONS,
} from './annotations.ts';

const PAGE = readFileSync(new URL('../../../docs/reference/annotations.md', import.meta.url), 'utf8');

/** Cells of each row of the table below a heading; backticks and blanks around a cell are gone, `""` stays. */
function rowsBelow(heading: string): readonly (readonly string[])[] {
  const section = PAGE.split(/^#{2,3} /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(2, -2)
        .split(/ *\| ?/)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
}

const wishesOf = (annotations: Readonly<Record<string, string>>) => readWishes(annotations, TEST_INJECTOR_SETTINGS);
const PLAIN = wishesOf({});
const rows = rowsBelow('Annotations of a Pod').map(([name = '', takes = '', fallback = '', example = '']) => ({
  name,
  takes,
  fallback,
  example,
}));

describe('docs/reference/annotations.md', () => {
  it('names every annotation there is, and no other', () => {
    const elsewhere = [...rowsBelow('Which services a Pod calls'), ...rowsBelow('Written by the injector')];
    const names = [...rows.map(({ name }) => name), ...elsewhere.map(([name]) => name)];
    // The label of the mesh, which is read as an annotation too, is among the labels.
    expect([...names, 'kuma.io/mesh'].sort()).toEqual([...KNOWN_ANNOTATIONS].sort());
    expect(rows.map(({ name }) => name).sort()).toEqual(
      USED_ANNOTATIONS.filter((name) => name !== 'kuma.io/mesh').sort(),
    );
  });

  it('names what has no effect', () => {
    for (const name of WITHOUT_EFFECT_ANNOTATIONS) expect(PAGE).toContain(`\`${name}\``);
  });

  it.each(rows)('$name: the default is what holds without it', ({ name, fallback }) => {
    if (fallback !== '') expect(wishesOf({ [name]: fallback })).toEqual(PLAIN);
  });

  it.each(rows)(
    '$name: the example is taken, and has an effect unless it is the default',
    ({ name, fallback, example }) => {
      const found = wishesOf({ [name]: example });
      expect(found).toHaveProperty('wishes');
      if (example === fallback) expect(found).toEqual(PLAIN);
      else expect(found).not.toEqual(PLAIN);
      expect(annotationWarnings({ [name]: example })).toEqual([]);
    },
  );

  it.each(rows)('$name: what it takes is what a refusal says', ({ name, takes }) => {
    const wrong = takes === 'the name of a volume of the Pod' ? '' : '!';
    const found = wishesOf({ [name]: wrong });
    expect('violations' in found && found.violations).toEqual([
      { field: `metadata.annotations["${name}"]`, message: `"${wrong}" is not allowed; it takes ${takes}` },
    ]);
  });
});
