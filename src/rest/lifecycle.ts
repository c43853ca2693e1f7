import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import type { MeshChecks, SecretChecks } from '../resources/write-checks.ts';

/** What happens around a Mesh beyond storing it; `control-plane/` has it. Source: compatibility reference 1.2 group B, 1.5. */
export interface MeshLifecycle extends MeshChecks {
  /** Called after each write: makes what the Mesh stands on (CAs of its backends, its token signing key). Idempotent, safe from several replicas. */
  ensure(mesh: Resource<MeshSpec>): Promise<void>;
}

export type SecretLifecycle = SecretChecks;

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
