import { describe, expect, it } from 'vitest';
import { policyKinds } from '../../policies/index.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import { crds } from './crds.ts';

const definitions = crds([...coreKinds, ...policyKinds]);
const definition = (name: string) => definitions.find((one) => one.metadata.name === `${name}.kuma.io`)!;
const version = (name: string) => definition(name).spec.versions[0];
const schema = (name: string) => version(name).schema.openAPIV3Schema.properties!;

describe('crds', () => {
  it('has every kind with objects of its own, in scope and sorted', () => {
    expect(definitions.map(({ metadata, spec }) => `${metadata.name} ${spec.scope}`)).toEqual([
      'carotations.kuma.io Namespaced',
      'containerpatches.kuma.io Namespaced',
      'dataplaneinsights.kuma.io Namespaced',
      'dataplanes.kuma.io Namespaced',
      'issuancestates.kuma.io Namespaced',
      'meshdistrusts.kuma.io Namespaced',
      'meshes.kuma.io Cluster',
      'meshinsights.kuma.io Cluster',
      'meshtrafficpermissions.kuma.io Namespaced',
      'pendingleaves.kuma.io Namespaced',
      'renewalrequests.kuma.io Namespaced',
      'sealedleaves.kuma.io Namespaced',
      'serviceinsights.kuma.io Cluster',
      'zones.kuma.io Cluster',
    ]);
  });

  it('keeps what an old-model spec does not name, and takes numbers and enums in either form', () => {
    const backend = schema('meshes')['spec']!.properties!['mtls']!.properties!['backends']!.items!;
    expect(backend['x-kubernetes-preserve-unknown-fields']).toBe(true);
    expect(backend.required).toBeUndefined();
    expect(backend.properties!['mode']).toEqual({ 'x-kubernetes-int-or-string': true, nullable: true });
    expect(backend.properties!['conf']).toEqual({
      type: 'object',
      nullable: true,
      'x-kubernetes-preserve-unknown-fields': true,
    });
    const inbound = schema('dataplanes')['spec']!.properties!['networking']!.properties!['inbound']!.items!;
    expect(inbound.properties!['port']).toEqual({ 'x-kubernetes-int-or-string': true, nullable: true });
  });

  it('is strict for new-model kinds', () => {
    const spec = schema('meshtrafficpermissions')['spec']!;
    expect(JSON.stringify(spec)).not.toMatch(/preserve|additionalProperties":false/);
    expect(spec.properties!['targetRef']).toMatchObject({ type: 'object', required: ['kind'] });
  });

  it('puts mesh and status where Kuma has them', () => {
    expect(Object.keys(schema('dataplanes'))).toEqual(['apiVersion', 'kind', 'metadata', 'mesh', 'spec']);
    expect(Object.keys(schema('containerpatches'))).toEqual(['apiVersion', 'kind', 'metadata', 'mesh', 'spec']);
    expect(Object.keys(schema('dataplaneinsights'))).toEqual(['apiVersion', 'kind', 'metadata', 'mesh', 'status']);
    expect(Object.keys(schema('meshes'))).toEqual(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
    expect(Object.keys(schema('meshtrafficpermissions'))).toEqual(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
    const withStatus = definitions.filter(({ spec }) => spec.versions[0].subresources !== undefined);
    expect(withStatus.map(({ spec }) => spec.names.kind)).toEqual(['Mesh', 'MeshTrafficPermission']);
  });

  it('names the short forms, and hides the records of the control plane', () => {
    expect(definition('dataplanes').spec.names).toMatchObject({ shortNames: ['dp'], categories: ['kuma'] });
    expect(definition('sealedleaves').spec.names.categories).toEqual([]);
    expect(definition('meshes').spec.names).not.toHaveProperty('shortNames');
  });
});
