import { fingerprintsOf } from '../x509/fingerprints.ts';
import { type BackendConfig, type CaDependencies, CaError } from './backend.ts';

/**
 * Names of the Secrets a builtin CA lives in. `cert` and `key` are Kuma's (2.11), and hold the CA that signs; `renewal` is ours and holds both CAs while one
 * follows the other (decision 0023).
 */
export function builtinSecretNames(
  mesh: string,
  backend: string,
): { readonly cert: string; readonly key: string; readonly renewal: string } {
  const name = (part: string) => `${mesh}.ca-builtin-${part}-${backend}`;
  return { cert: name('cert'), key: name('key'), renewal: name('renewal') };
}

/** PEM of a CA certificate and its key. */
export interface CaPems {
  readonly cert: string;
  readonly key: string;
}

/** What is stored of a builtin CA. */
export interface StoredCa {
  readonly signing: CaPems;
  /** Both CAs while one follows the other; `signing` is one of them. */
  readonly renewal: { readonly old: CaPems; readonly new: CaPems } | undefined;
}

/** `undefined`: there is no CA yet. Throws `CaError` when it is there by half, or cannot be read. */
export async function readStoredCa(config: BackendConfig, deps: CaDependencies): Promise<StoredCa | undefined> {
  const names = builtinSecretNames(config.mesh, config.name);
  let [cert, key] = await readHalves(config, deps);
  // They are read one by one, so another replica's transaction may come between: a half is looked at again before it is called one.
  if ((cert === undefined) !== (key === undefined)) [cert, key] = await readHalves(config, deps);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    const [present, missing] = cert ? [names.cert, names.key] : [names.key, names.cert];
    throw notConfigured(
      config,
      `Secret "${present}" exists without "${missing}"; restore the missing one, or delete the other to get a new CA`,
    );
  }
  const renewal = await readRenewal(config, deps);
  // The key may be of a moment before or after: a store without transactions writes one Secret after the other.
  const own = renewal === undefined ? undefined : [renewal.old, renewal.new].find((pems) => pems.cert === String(cert));
  const signing = own ?? { cert: String(cert), key: String(key) };
  return { signing, renewal: own === undefined ? undefined : renewal };
}

async function readHalves(config: BackendConfig, deps: CaDependencies): Promise<(Buffer | undefined)[]> {
  const { cert, key } = builtinSecretNames(config.mesh, config.name);
  return [await deps.secrets.read(config.mesh, cert), await deps.secrets.read(config.mesh, key)];
}

async function readRenewal(config: BackendConfig, deps: CaDependencies): Promise<StoredCa['renewal']> {
  const name = builtinSecretNames(config.mesh, config.name).renewal;
  const text = await deps.secrets.read(config.mesh, name);
  if (text === undefined) return undefined;
  try {
    const { old, new: next } = JSON.parse(String(text)) as { old?: CaPems; new?: CaPems };
    return old === undefined || next === undefined ? undefined : { old, new: next };
  } catch {
    throw notConfigured(config, `Secret "${name}" cannot be read; delete it when no renewal of this CA is under way`);
  }
}

/** Writes the two CAs of a renewal; `undefined`: it is over. */
export async function writeRenewal(
  config: BackendConfig,
  deps: CaDependencies,
  renewal: StoredCa['renewal'],
): Promise<void> {
  const name = builtinSecretNames(config.mesh, config.name).renewal;
  await deps.secrets.writeTogether(config.mesh, new Map([[name, Buffer.from(JSON.stringify(renewal ?? {}))]]));
}

/** Makes `pems` the CA that signs. */
export async function writeSigning(config: BackendConfig, deps: CaDependencies, pems: CaPems): Promise<void> {
  const { cert, key } = builtinSecretNames(config.mesh, config.name);
  const secrets = new Map([
    [cert, Buffer.from(pems.cert)],
    [key, Buffer.from(pems.key)],
  ]);
  await deps.secrets.writeTogether(config.mesh, secrets);
}

export function notConfigured(config: BackendConfig, reason: string): CaError {
  return new CaError('not-configured', `open builtin backend "${config.name}" of mesh "${config.mesh}": ${reason}`);
}

/** SHA-256 of the certificate, lower-case hex. */
export function fingerprintOf({ cert }: CaPems): string {
  return fingerprintsOf(cert)[0]!;
}
