import { describe, expect, it } from 'vitest';
import { renderTemplates } from './render.ts';
import {
  digest,
  each,
  firstOf,
  ITEM,
  ifSet,
  itemField,
  itemsOf,
  KEY,
  NAMESPACE,
  type Template,
  text,
  type ValueHole,
  VERSION,
  whenSet,
  whenWithout,
  withEntries,
} from './template.ts';

const scalar = (path: string): ValueHole => ({ $: 'value', path, shape: 'scalar' });
const map = (path: string): ValueHole => ({ $: 'value', path, shape: 'map' });
const list = (path: string): ValueHole => ({ $: 'value', path, shape: 'list' });

function render(template: Template, values: Record<string, unknown>): unknown {
  return renderTemplates([template], { namespace: 'mesh', version: '1.2.3', values })[0];
}

describe('renderTemplates', () => {
  it('fills values, facts and text around them', () => {
    const template = { a: scalar('x.y'), b: text`sa:${NAMESPACE}:v${VERSION}`, c: digest(scalar('t')) };
    expect(render(template, { x: { y: 3 }, t: '' })).toEqual({
      a: 3,
      b: 'sa:mesh:v1.2.3',
      c: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    });
  });

  it('leaves out what is empty, whatever kind of empty', () => {
    const template = { a: ifSet(scalar('a')), b: ifSet(map('b')), c: ifSet(list('c')), d: ifSet(scalar('d')), e: 1 };
    expect(render(template, { a: '', b: {}, c: [], d: false })).toEqual({ e: 1 });
    expect(
      renderTemplates([whenSet(scalar('a'), { x: 1 }), 'b'], { namespace: '', version: '', values: { a: false } }),
    ).toEqual(['b']);
  });

  it('takes the first that is not empty', () => {
    expect(render({ tag: firstOf(scalar('a'), scalar('b'), VERSION) }, { a: '', b: '' })).toEqual({ tag: '1.2.3' });
    expect(render({ tag: firstOf(scalar('a'), scalar('b'), VERSION) }, { a: '', b: 'dev' })).toEqual({ tag: 'dev' });
  });

  it('lists members of a map in the order of their names, and items of a list in theirs', () => {
    const template = {
      env: [{ name: 'own' }, each(map('env'), { name: KEY, value: ITEM }), itemsOf(list('more'))],
      volumes: [each(list('volumes'), { name: text`v-${itemField('name')}` })],
    };
    const values = { env: { B: '2', A: '1' }, more: [{ name: 'x' }], volumes: [{ name: 'z' }, { name: 'y' }] };
    expect(render(template, values)).toEqual({
      env: [{ name: 'own' }, { name: 'A', value: '1' }, { name: 'B', value: '2' }, { name: 'x' }],
      volumes: [{ name: 'v-z' }, { name: 'v-y' }],
    });
  });

  it('lets no entry of a user replace one of ours, and a later map win over an earlier one', () => {
    const template = withEntries({ app: 'weft' }, map('a'), map('b'));
    expect(render(template, { a: { app: 'x', one: '1', two: '1' }, b: { two: '2' } })).toEqual({
      app: 'weft',
      one: '1',
      two: '2',
    });
  });

  it('leaves out an item of ours when the user gives one of the same name', () => {
    const template = [whenWithout(map('env'), 'A', { name: 'A' }), whenWithout(map('env'), 'B', { name: 'B' })];
    expect(render(template, { env: { A: 'mine' } })).toEqual([{ name: 'B' }]);
  });
});
