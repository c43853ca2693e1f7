import { describe, expect, it } from 'vitest';
import { assignedValue, completeValues, defaultValues } from './complete-values.ts';
import { CONTROL_PLANE_VALUES } from './control-plane-values.ts';

function complete(...given: readonly unknown[]) {
  return completeValues(CONTROL_PLANE_VALUES, given);
}

describe('completeValues', () => {
  it('has the defaults, all of which fit', () => {
    expect(complete()).toEqual({ values: defaultValues(CONTROL_PLANE_VALUES), problems: [] });
  });

  it('merges maps, replaces lists, and lets later values win', () => {
    const { values, problems } = complete(
      { controlPlane: { replicas: 2, nodeSelector: { a: '1' }, topologySpreadConstraints: [] } },
      { controlPlane: { replicas: 3, nodeSelector: { b: '2' } } },
    );
    expect(problems).toEqual([]);
    expect(values['controlPlane']).toMatchObject({
      replicas: 3,
      nodeSelector: { a: '1', b: '2' },
      topologySpreadConstraints: [],
      logLevel: 'info',
    });
  });

  it('takes a key of a map away with null', () => {
    const { values, problems } = complete({ controlPlane: { podSecurityContext: { runAsUser: null } } });
    expect(problems).toEqual([]);
    expect(values['controlPlane']).toMatchObject({ podSecurityContext: { runAsNonRoot: true } });
    expect(values['controlPlane']).not.toHaveProperty('podSecurityContext.runAsUser');
  });

  it('names every value that does not fit', () => {
    const { problems } = complete({
      controlPlane: {
        replicas: 'many',
        replica: 3,
        envVars: { A: 1 },
        imagePullPolicy: 'Sometimes',
        image: { pullPolicy: 'Sometimes', tag: null },
        extraSecrets: [{ name: 'a' }],
      },
      crds: true,
      global: { parent: 1 },
    });
    expect(problems).toEqual([
      { field: 'crds', reason: 'must be a map of values' },
      { field: 'controlPlane.replica', reason: 'there is no such value', suggestion: 'controlPlane.replicas' },
      { field: 'controlPlane.imagePullPolicy', reason: 'there is no such value' },
      { field: 'controlPlane.replicas', reason: 'must be a whole number' },
      { field: 'controlPlane.image.tag', reason: 'must not be null' },
      { field: 'controlPlane.image.pullPolicy', reason: 'must be one of: Always, IfNotPresent, Never' },
      { field: 'controlPlane.envVars.A', reason: 'must be a text; put it in quotes' },
      { field: 'controlPlane.extraSecrets[0].mountPath', reason: 'must be a text' },
    ]);
  });

  it('refuses what is no map at all', () => {
    expect(complete([1]).problems).toEqual([{ field: '', reason: 'must be a map of values' }]);
  });
});

describe('assignedValue', () => {
  it.each([
    ['a.b', '1', { a: { b: 1 } }],
    ['a', 'true', { a: true }],
    ['a', 'null', { a: null }],
    ['a', '0123', { a: '0123' }],
    ['a', 'v1.2', { a: 'v1.2' }],
    ['a', '{x,2}', { a: ['x', 2] }],
    ['a', '{}', { a: [] }],
    ['nodeSelector.kubernetes\\.io/os', 'linux', { nodeSelector: { 'kubernetes.io/os': 'linux' } }],
  ])('%s=%s', (path, text, value) => {
    expect(assignedValue(path, text)).toEqual(value);
  });
});
