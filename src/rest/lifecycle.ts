import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource, Violation } from '../resources/resource.ts';

/** What happens around a Mesh beyond storing it; `control-plane/` has it. Source: compatibility reference 1.2 group B, 1.5. */
export interface MeshLifecycle {
  /** Checks that need plug-ins, secrets or other resources. `previous` is the stored Mesh, absent on create. */
  validate(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
  /** Called after each write: makes what the Mesh stands on (CAs of its backends, its token signing key). Idempotent, safe from several replicas. */
  ensure(mesh: Resource<MeshSpec>): Promise<void>;
  /** Why the Mesh may not be deleted. */
  validateDelete(mesh: Resource<MeshSpec>): Promise<readonly Violation[]>;
}

/** What guards a Secret or GlobalSecret. */
export interface SecretLifecycle {
  /** Why the secret may not be deleted: a CA backend stands on it. */
  validateDelete(secret: Resource): Promise<readonly Violation[]>;
}

/** Facts of this process for `/`. */
export interface InstanceInfo {
  readonly hostname: string;
  /** Our own name, shown as `distribution`. */
  readonly product: string;
  readonly version: string;
  /** Of this process; new at each start. */
  readonly instanceId: string;
  /** Of the store; '' until it is known. */
  readonly clusterId: string;
  /** Version of Kuma whose API this is; kumactl compares it. */
  readonly basedOnKuma: string;
}
