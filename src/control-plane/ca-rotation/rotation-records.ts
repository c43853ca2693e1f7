import type { CaRotationSpec } from '../../resources/kinds/ca-rotation.ts';
import type { Resource } from '../../resources/resource.ts';
import type { Rotation } from '../../rotation/rotation.ts';
import { type ResourceStore, StoreError } from '../../store/store.ts';

/** A rotation and the version it was read at. */
export interface StoredRotation {
  readonly rotation: Rotation;
  readonly version: string;
}

/** The one rotation of each mesh, the running or the last one, in the store. Throws `StoreError`. */
export interface RotationRecords {
  read(mesh: string): Promise<StoredRotation | undefined>;
  /** False: somebody else wrote since `version`; read again. `version` absent: there is none yet. */
  write(mesh: string, rotation: Rotation, version: string | undefined): Promise<boolean>;
}

export function createRotationRecords(store: ResourceStore): RotationRecords {
  return {
    async read(mesh) {
      const found = await store.get({ type: 'CaRotation', mesh, name: mesh });
      return found && { rotation: found.spec as CaRotationSpec, version: found.meta.version };
    },
    async write(mesh, spec, version) {
      const meta = { mesh, name: mesh, labels: {}, creationTime: '', modificationTime: '', version: '' };
      const resource: Resource = { type: 'CaRotation', meta, spec };
      try {
        await (version === undefined ? store.create(resource) : store.update(resource, version));
        return true;
      } catch (error) {
        if (error instanceof StoreError && (error.code === 'conflict' || error.code === 'already-exists')) return false;
        throw error;
      }
    },
  };
}
