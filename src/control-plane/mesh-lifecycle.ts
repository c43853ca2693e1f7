import type { BackendConfig, CaBackendKind, CaDependencies } from '../ca/backend.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource, Violation } from '../resources/resource.ts';
import { caEditViolations, changesCa } from '../rotation/plain-edit.ts';
import type { ResourceStore } from '../store/store.ts';
import { readInsights } from './ca-rotation/rotation-hands.ts';
import { createRotationRecords } from './ca-rotation/rotation-records.ts';

/**
 * What happens around a Mesh beyond storing it (kuma-compat 1.2 group B, 1.5): its CA backends are checked before, and made ready after a write.
 */
export interface MeshLifecycle {
  /** Checks that need plug-ins, secrets or other resources. `previous` is the stored Mesh, absent on create. */
  validate(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
  /** Tries the backends that a write brings in (decision 0025). */
  rehearse(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
  validateDelete(mesh: Resource<MeshSpec>): Promise<readonly Violation[]>;
  /** CA of every listed backend and the mesh's token signing key. Idempotent, safe from several replicas. */
  ensure(mesh: Resource<MeshSpec>): Promise<void>;
  /** Why a Secret may not be deleted: a listed backend of its Mesh stands on it (kuma-compat 3). */
  validateSecretDelete(secret: Resource): Promise<readonly Violation[]>;
}

const LONGEST_MESH_NAME = 63;

export function createMeshLifecycle(options: {
  store: ResourceStore;
  caKinds: readonly CaBackendKind[];
  caDependencies: CaDependencies;
  rehearse: (mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined) => Promise<readonly Violation[]>;
  ensureSigningKey: (mesh: string) => Promise<void>;
  /** Deleting a Mesh with Dataplanes is allowed. */
  unsafeDelete: boolean;
}): MeshLifecycle {
  const rotations = createRotationRecords(options.store);
  const kinds = new Map(options.caKinds.map((kind) => [kind.type, kind]));

  function backendsOf(
    mesh: Resource<MeshSpec>,
  ): { config: BackendConfig; kind: CaBackendKind | undefined; path: string }[] {
    return (mesh.spec.mtls?.backends ?? []).map((backend, index) => ({
      config: { mesh: mesh.meta.name, name: backend.name, type: backend.type, conf: backend.conf ?? {} },
      kind: kinds.get(backend.type),
      path: `mtls.backends[${index}]`,
    }));
  }

  return {
    async validate(mesh, previous) {
      const violations: Violation[] = [];
      if (previous === undefined && mesh.meta.name.length > LONGEST_MESH_NAME) {
        violations.push({ field: 'name', message: `cannot be longer than ${LONGEST_MESH_NAME} characters` });
      }
      const backends = backendsOf(mesh);
      const unknown = backends.find((backend) => backend.kind === undefined);
      if (unknown !== undefined) {
        const known = [...kinds.keys()].sort().join(', ');
        return [
          ...violations,
          {
            field: `${unknown.path}.type`,
            message: `could not find installed plugin for this type, use one of: ${known}`,
          },
        ];
      }
      violations.push(...(await caViolations(mesh, previous)));
      if (mesh.spec.mtls?.skipValidation !== true) {
        for (const { config, kind, path } of backends)
          violations.push(...(await kind!.validate(config, `${path}.conf`, options.caDependencies)));
      }
      return violations;
    },

    rehearse: options.rehearse,

    async validateDelete(mesh) {
      if (options.unsafeDelete) return [];
      const { total } = await options.store.list({ type: 'Dataplane', mesh: mesh.meta.name, size: 1 });
      return total === 0
        ? []
        : [{ field: 'mesh', message: 'unable to delete mesh, there are still some dataplanes attached' }];
    },

    async ensure(mesh) {
      for (const { config, kind } of backendsOf(mesh)) await kind?.ensure?.(config, options.caDependencies);
      await options.ensureSigningKey(mesh.meta.name);
    },

    async validateSecretDelete(secret) {
      const { mesh: meshName, name } = secret.meta;
      const mesh = await options.store.get({ type: 'Mesh', mesh: '', name: meshName });
      if (meshName === '' || mesh === undefined) return [];
      const user = backendsOf(mesh as Resource<MeshSpec>).find(({ config, kind }) =>
        kind?.usedSecrets(config).includes(name),
      );
      if (user === undefined) return [];
      const backend = user.config.name;
      return [
        {
          field: 'name',
          message: `The secret "${name}" that you are trying to remove is currently in use in Mesh "${meshName}" in mTLS backend "${backend}". Please remove the reference from the "${backend}" backend before removing the secret.`,
        },
      ];
    },
  };

  /** Kong Mesh's guarded CA change (kuma-compat 1.5): no step of it can be skipped by an edit. */
  async function caViolations(
    { meta, spec }: Resource<MeshSpec>,
    previous: Resource<MeshSpec> | undefined,
  ): Promise<readonly Violation[]> {
    const [before, after] = [previous?.spec.mtls, spec.mtls];
    if (before === undefined || after === undefined || !changesCa(before, after)) return [];
    const [insights, rotation] = await Promise.all([readInsights(options.store, meta.name), rotations.read(meta.name)]);
    return caEditViolations({ mesh: meta.name, before, after, insights, rotation: rotation?.rotation });
  }
}
