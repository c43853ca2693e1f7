import { expect, it } from 'vitest';
import { DATA_SOURCE, PROTOCOL } from '../../../sdk/src/index.ts';
import { caBackendKinds } from '../index.ts';
import { DATA_SOURCE_KEYWORD } from './conf-fields.ts';
import { SPOKEN } from './descriptor.ts';
import { OWN_TYPES, pluginSetting } from './setting.ts';

it('what Weft and its SDK have to agree on is the same', () => {
  expect(`${SPOKEN.major}.${SPOKEN.minor}`).toBe(PROTOCOL);
  expect(DATA_SOURCE_KEYWORD).toBe(DATA_SOURCE);
});

it('a plug-in cannot take a type of ours', () => {
  expect([...OWN_TYPES].sort()).toEqual(caBackendKinds.map(({ type }) => type).sort());
  for (const type of [...OWN_TYPES, 'Upper', '', 'a/b', '1st']) {
    expect(pluginSetting.safeParse({ type, module: 'x' }).success, type).toBe(false);
  }
  expect(pluginSetting.parse({ type: 'step-ca', module: 'x' })).toEqual({
    type: 'step-ca',
    module: 'x',
    env: [],
    read: [],
    allow: [],
    memoryMb: 256,
  });
});
