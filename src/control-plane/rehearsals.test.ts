import { describe, expect, it } from 'vitest';
import type { CaBackendKind } from '../ca/backend.ts';
import type { MeshMtls, MeshSpec, MtlsBackend } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import { backendsToRehearse } from './rehearsals.ts';

const kind = (type: string, rehearsedOnWrite: boolean): CaBackendKind => ({
  type,
  rehearsedOnWrite,
  validate: async () => [],
  usedSecrets: () => [],
  open: () => {
    throw new Error('not asked');
  },
});
const kinds = [kind('builtin', false), kind('remote', true)];
const mesh = (mtls: MeshMtls | undefined): Resource<MeshSpec> => ({
  type: 'Mesh',
  meta: { mesh: '', name: 'default', labels: {}, creationTime: '', modificationTime: '', version: '' },
  spec: mtls === undefined ? {} : { mtls },
});
const near: MtlsBackend = { name: 'near', type: 'builtin' };
const far: MtlsBackend = { name: 'far', type: 'remote', conf: { a: 1, b: 2 } };
const on = (...backends: MtlsBackend[]): MeshMtls => ({ enabledBackend: backends[0]!.name, backends });

describe('backendsToRehearse', () => {
  it.each<[string, MeshMtls | undefined, MeshMtls | undefined, string[]]>([
    ['a new Mesh with mTLS', on(near, far), undefined, ['mtls.backends[1].conf']],
    ['a new Mesh without it', { backends: [far] }, undefined, []],
    ['mTLS switched on', on(far), { backends: [far] }, ['mtls.backends[0].conf']],
    ['a backend that comes in', on(near, far), on(near), ['mtls.backends[1].conf']],
    ['another conf', on(near, { ...far, conf: { a: 2 } }), on(near, far), ['mtls.backends[1].conf']],
    ['the same conf in another order', on({ ...far, conf: { b: 2, a: 1 } }), on(far), []],
    ['another life of leaves', on({ ...far, dpCert: { rotation: { expiration: '1h' } } }), on(far), []],
    ['the other backend enabled', on(far, near), on(near, far), []],
    ['skipValidation', { ...on(far), skipValidation: true }, undefined, []],
    ['mTLS switched off', { backends: [far] }, on(far), []],
    ['no mTLS at all', undefined, on(far), []],
  ])('for %s', (_what, now, before, paths) => {
    const previous = before === undefined ? undefined : mesh(before);
    expect(backendsToRehearse(mesh(now), previous, kinds).map(({ path }) => path)).toEqual(paths);
  });
});
