import { describe, expect, it } from 'vitest';
import type { Resource } from '../resource.ts';
import { type ContainerPatchSpec, containerPatchKind } from './container-patch.ts';

const fieldsOf = (spec: ContainerPatchSpec) =>
  containerPatchKind.validate(spec, { spec } as Resource<ContainerPatchSpec>).map(({ field }) => field);

describe('ContainerPatch', () => {
  it('takes JSON Patches with values as JSON text', () => {
    const sidecarPatch = [
      { op: 'add' as const, path: '/securityContext/privileged', value: 'true' },
      { op: 'remove' as const, path: '/livenessProbe' },
      { op: 'copy' as const, path: '/a~1b', from: '/name' },
    ];
    expect(fieldsOf({ sidecarPatch, initPatch: [] })).toEqual([]);
  });

  it('names every step that cannot be', () => {
    expect(
      fieldsOf({
        sidecarPatch: [{ op: 'add', path: 'resources', value: '{' }],
        initPatch: [
          { op: 'move', path: '/a' },
          { op: 'replace', path: '/a~2' },
        ],
      }),
    ).toEqual([
      'spec.sidecarPatch[0].path',
      'spec.sidecarPatch[0].value',
      'spec.initPatch[0].from',
      'spec.initPatch[1].path',
      'spec.initPatch[1].value',
    ]);
  });
});
