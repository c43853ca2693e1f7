import type { MeshSpec, MtlsBackend } from '../../resources/kinds/mesh.ts';
import type { IssuerRef } from './issuers.ts';

/** One Mesh, whatever it was read from. */
export interface MeshEntry {
  readonly name: string;
  readonly spec: MeshSpec;
}

export interface BackendEntry {
  readonly mesh: string;
  readonly backend: MtlsBackend;
  readonly enabled: boolean;
}

/** Every CA backend of every mesh. */
export function backendsOf(meshes: readonly MeshEntry[]): readonly BackendEntry[] {
  return meshes.flatMap(({ name, spec }) =>
    (spec.mtls?.backends ?? []).map((backend) => ({
      mesh: name,
      backend,
      enabled: backend.name === spec.mtls?.enabledBackend,
    })),
  );
}

/** Meshes with mTLS on. */
export function mtlsMeshesOf(meshes: readonly MeshEntry[]): ReadonlySet<string> {
  return new Set(meshes.filter(({ spec }) => Boolean(spec.mtls?.enabledBackend)).map(({ name }) => name));
}

/** The issuer of a `certmanager` backend, with cert-manager's defaults; `undefined` for another backend, and for one without a name. */
export function issuerRefOf({ type, conf }: MtlsBackend): IssuerRef | undefined {
  if (type !== 'certmanager') return undefined;
  const { name, kind, group } = objectOf(conf?.['issuerRef']);
  if (typeof name !== 'string' || name === '') return undefined;
  return { name, kind: textOr(kind, 'Issuer'), group: textOr(group, 'cert-manager.io') };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' && value !== '' ? value : fallback;
}
