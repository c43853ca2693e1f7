import type { Kind } from './kind.ts';
import type { DataplaneSpec } from './kinds/dataplane.ts';
import type { MeshSpec } from './kinds/mesh.ts';
import { membershipProblem } from './membership.ts';
import type { Resource, Violation } from './resource.ts';

/** What about a Mesh can't be seen in it alone; `control-plane/` has it. Source: compatibility reference 1.2 group B. */
export interface MeshChecks {
  /** Checks that need plug-ins, secrets or other resources. `previous` is the stored Mesh, absent on create. Changes nothing. */
  validate(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
  /**
   * Has the CAs elsewhere issue a probe certificate that the write brings in, and says what is in the way. To be asked when all else has passed, and not
   * for a dry run: it leaves a trace with the issuer.
   */
  rehearse(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
  /** Why the Mesh may not be deleted. */
  validateDelete(mesh: Resource<MeshSpec>): Promise<readonly Violation[]>;
}

/** What guards a Secret or GlobalSecret. */
export interface SecretChecks {
  /** Why the secret may not be deleted: a CA backend stands on it. */
  validateDelete(secret: Resource): Promise<readonly Violation[]>;
}

/**
 * Checks of a write that need more than the resource itself, in paths of the Universal form. `stored` is absent on create, `owner` is the Mesh
 * of a mesh-scoped resource. The same for everyone who writes: REST and the admission webhooks.
 */
export async function writeViolations(
  checks: MeshChecks,
  kind: Kind,
  resource: Resource,
  stored: Resource | undefined,
  owner: Resource<MeshSpec> | undefined,
): Promise<readonly Violation[]> {
  switch (kind.type) {
    case 'Mesh':
      return checks.validate(resource as Resource<MeshSpec>, stored as Resource<MeshSpec> | undefined);
    case 'Dataplane': {
      const refusal = owner && membershipProblem(owner.meta.name, owner.spec, resource.spec as DataplaneSpec);
      return refusal === undefined ? [] : [{ field: 'networking', message: refusal }];
    }
    default:
      return [];
  }
}

/** What the last step before a write finds: that of a Mesh asks issuers. */
export async function rehearsalViolations(
  checks: Pick<MeshChecks, 'rehearse'>,
  kind: Kind,
  resource: Resource,
  stored: Resource | undefined,
): Promise<readonly Violation[]> {
  if (kind.type !== 'Mesh') return [];
  return checks.rehearse(resource as Resource<MeshSpec>, stored as Resource<MeshSpec> | undefined);
}

/** Why the resource may not be deleted. */
export async function deleteViolations(
  meshes: Pick<MeshChecks, 'validateDelete'>,
  secrets: SecretChecks,
  kind: Kind,
  resource: Resource,
): Promise<readonly Violation[]> {
  switch (kind.type) {
    case 'Mesh':
      return meshes.validateDelete(resource as Resource<MeshSpec>);
    case 'Secret':
    case 'GlobalSecret':
      return secrets.validateDelete(resource);
    default:
      return [];
  }
}
