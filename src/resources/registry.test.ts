import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { policyKinds } from '../policies/index.ts';
import { coreKinds } from './kinds/index.ts';
import { kriText, parseKri } from './kri.ts';
import { createRegistry } from './registry.ts';

describe('the registry', () => {
  const registry = createRegistry([...coreKinds, ...policyKinds]);

  it('finds kinds by type, by path and by alias, but internal ones by type only', () => {
    expect(registry.byType('Dataplane')?.path).toBe('dataplanes');
    expect(registry.byPath('global-secrets')).toBe(registry.byPath('globalsecrets'));
    expect(registry.byPath('meshtrafficpermissions')?.type).toBe('MeshTrafficPermission');
    expect(registry.byType('SealedLeaf')?.internal).toBe(true);
    expect(registry.byPath('sealed-leaves')).toBeUndefined();
    expect(registry.byType('constructor')).toBeUndefined();
  });

  it('refuses two kinds of one name or path', () => {
    expect(() => createRegistry([coreKinds[0]!, coreKinds[0]!])).toThrow(/already belongs to Mesh/);
  });

  it('has a JSON Schema for every kind', () => {
    for (const kind of registry.list()) {
      const schema = z.toJSONSchema(kind.schema, { io: 'input' });
      expect(schema.type, kind.type).toBe('object');
    }
  });
});

describe('KRI', () => {
  it('is read back as it was written', () => {
    const kri = { shortName: 'mtp', mesh: 'm', zone: '', namespace: 'ns', name: 'a', section: 'b_c' };
    expect(kriText(kri)).toBe('kri_mtp_m__ns_a_b_c');
    expect(parseKri(kriText(kri))).toEqual(kri);
    expect(parseKri('kri_mtp_m')).toBeUndefined();
    expect(parseKri('krx_mtp_m____')).toBeUndefined();
  });
});
