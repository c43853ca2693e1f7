import type { MeshSpec, MtlsBackend } from '../../resources/kinds/mesh.ts';
import { readNode } from '../../x509/certificate.ts';
import { parseCertificates } from '../../x509/chain.ts';
import type { CaCertificate, CaFacts } from './cas.ts';
import { ABSENT, type Fact, known } from './fact.ts';
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

/** Reads a Secret of a mesh, its value decoded. */
export type SecretReader = (mesh: string, name: string) => Promise<Fact<Buffer>>;

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

/** The public certificates of a backend's CA: out of its `conf`, or out of Secrets of the mesh. */
export async function readCa(entry: BackendEntry, readSecret: SecretReader): Promise<CaFacts> {
  const { mesh, backend, enabled } = entry;
  const pem = await pemOf(entry, readSecret);
  return { mesh, backend: backend.name, type: backend.type, enabled, certificates: certificatesOf(pem) };
}

async function pemOf({ mesh, backend }: BackendEntry, readSecret: SecretReader): Promise<Fact<Buffer>> {
  switch (backend.type) {
    case 'builtin':
      return readSecret(mesh, `${mesh}.ca-builtin-cert-${backend.name}`);
    case 'provided':
      return readSource(mesh, backend.conf?.['cert'], readSecret);
    case 'certmanager':
      return backend.conf?.['caCert'] === undefined
        ? { state: 'failed', reason: 'the issuer names them with each certificate (status.ca), not the Mesh' }
        : readSource(mesh, backend.conf['caCert'], readSecret);
    default:
      return { state: 'failed', reason: `backends of type ${backend.type} are not known` };
  }
}

/** A DataSource. Source: compatibility reference 1.3. */
async function readSource(mesh: string, source: unknown, readSecret: SecretReader): Promise<Fact<Buffer>> {
  const { secret, inline, inlineString } = objectOf(source);
  if (typeof inlineString === 'string') return known(Buffer.from(inlineString));
  if (typeof inline === 'string') return known(Buffer.from(inline, 'base64'));
  if (typeof secret === 'string') return readSecret(mesh, secret);
  return { state: 'failed', reason: 'they are in a file of the control plane' };
}

function certificatesOf(pem: Fact<Buffer>): Fact<readonly CaCertificate[]> {
  if (pem.state !== 'known') return pem;
  try {
    return known(
      parseCertificates(pem.value).map((der) => {
        const node = readNode(der);
        return {
          subject: node.subject.replaceAll('\n', ', '),
          notBefore: node.validFromDate.getTime(),
          notAfter: node.validToDate.getTime(),
        };
      }),
    );
  } catch (error) {
    return pem.value.length === 0 ? ABSENT : { state: 'failed', reason: (error as Error).message };
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' && value !== '' ? value : fallback;
}
