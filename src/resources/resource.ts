/**
 * The resource model's plain data: what the store keeps, REST serves and the mesh snapshot is made of.
 * Everything here is frozen by convention: replaced, never edited.
 */

/** Identity of a resource. `mesh` is '' for global kinds. */
export interface ResourceKey {
  readonly type: string;
  readonly mesh: string;
  readonly name: string;
}

export interface ResourceMeta {
  /** '' for global kinds. */
  readonly mesh: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339, UTC. Set by the store on create. */
  readonly creationTime: string;
  /** RFC 3339, UTC. Set by the store on every write. */
  readonly modificationTime: string;
  /** Opaque; grows with each write. '' before the first write. */
  readonly version: string;
}

export interface Resource<Spec = unknown, Status = unknown> {
  /** Kind name as in YAML: `Mesh`, `Dataplane`. */
  readonly type: string;
  readonly meta: ResourceMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/** One reason why input is refused. `field` is a contract path such as `mtls.backends[0].name`. */
export interface Violation {
  readonly field: string;
  readonly message: string;
}

export function keyOf(resource: Resource): ResourceKey {
  return { type: resource.type, mesh: resource.meta.mesh, name: resource.meta.name };
}

/** `type/mesh/name`, usable as a map key: none of the parts can hold a slash. */
export function keyText(key: ResourceKey): string {
  return `${key.type}/${key.mesh}/${key.name}`;
}
