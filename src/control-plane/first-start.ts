import { randomUUID } from 'node:crypto';
import type { SecretCreator } from '../auth/secrets.ts';
import { ensureSigningKey } from '../auth/signing-keys.ts';
import type { Tokens } from '../auth/tokens.ts';
import { ensureAdminToken } from '../auth/users.ts';
import type { ConfigSpec } from '../resources/kinds/config.ts';
import { computeLabels, type LabelContext } from '../resources/labels.ts';
import type { Registry } from '../resources/registry.ts';
import { keyOf, type Resource } from '../resources/resource.ts';
import { type ResourceStore, StoreError } from '../store/store.ts';
import { createCa, type TlsPair } from '../x509/tls-pair.ts';
import { readOrCreateSecret } from './secrets.ts';

const TEN_YEARS_MS = 3650 * 86_400_000;

/**
 * Global signing keys, the admin token, and the Mesh `default` with its token key (kuma-compat 1.5, 4.2, 5.3). Everything that is there already stays.
 * RSA keys take a moment: they are made side by side, off the event loop. Resolves to true when this call made the Mesh.
 */
export async function firstStart(options: {
  store: ResourceStore;
  secrets: SecretCreator;
  /** Signs the admin token. */
  tokens: Tokens;
  bootstrapAdminToken: boolean;
  /** Absent: no Mesh is made. */
  defaultMesh: Resource | undefined;
}): Promise<boolean> {
  const { store, secrets, tokens, defaultMesh } = options;
  const [made] = await Promise.all([
    defaultMesh && createOnce(store, defaultMesh),
    defaultMesh && ensureSigningKey(secrets, 'dataplane', defaultMesh.meta.name),
    ensureSigningKey(secrets, 'zone'),
    ensureSigningKey(secrets, 'user').then(async () => {
      if (options.bootstrapAdminToken) await ensureAdminToken(secrets, tokens);
    }),
  ]);
  return made ?? false;
}

/** The Mesh `default` as the first start makes it: an empty spec. */
export function defaultMesh(registry: Registry, context: LabelContext): Resource {
  const bare: Resource = {
    type: 'Mesh',
    meta: { mesh: '', name: 'default', labels: {}, creationTime: '', modificationTime: '', version: '' },
    spec: {},
  };
  return { ...bare, meta: { ...bare.meta, labels: computeLabels(registry.byType('Mesh')!, bare, context) } };
}

async function createOnce(store: ResourceStore, resource: Resource): Promise<boolean> {
  if ((await store.get(keyOf(resource))) !== undefined) return false;
  try {
    await store.create(resource);
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'already-exists') return false;
    throw error;
  }
}

/** The CA that opens Envoy admin listeners: certificate and key in one PEM, in GlobalSecret `envoy-admin-ca`. Made at first start. */
export function ensureEnvoyAdminCa(store: ResourceStore, now: number): Promise<TlsPair> {
  return ensureCa(store, 'envoy-admin-ca', now);
}

/**
 * The CA of the control planes' own certificates where they share no folder: in GlobalSecret `control-plane-ca`. Proxies trust it, whichever
 * replica they reach, and after each restart.
 */
export function ensureControlPlaneCa(store: ResourceStore, now: number): Promise<TlsPair> {
  return ensureCa(store, 'control-plane-ca', now);
}

async function ensureCa(store: ResourceStore, name: string, now: number): Promise<TlsPair> {
  const value = await readOrCreateSecret(store, '', name, async () => {
    const ca = await createCa(`O=Weft, CN=${name}`, now, TEN_YEARS_MS);
    return ca.certPem + ca.keyPem;
  });
  const pem = value.toString('utf8');
  const keyStart = pem.search(/-----BEGIN [A-Z ]*PRIVATE KEY-----/);
  const certStart = pem.indexOf('-----BEGIN CERTIFICATE-----');
  if (keyStart < 0 || certStart < 0)
    throw new Error(
      `read GlobalSecret ${name}: it must hold a PEM certificate and a PEM private key; delete it to have a new one made`,
    );
  return certStart < keyStart
    ? { certPem: pem.slice(certStart, keyStart), keyPem: pem.slice(keyStart) }
    : { certPem: pem.slice(certStart), keyPem: pem.slice(keyStart, certStart) };
}

/** Id of the deployment, the same for every control plane that shares the store. */
export async function ensureClusterId(store: ResourceStore): Promise<string> {
  const key = { type: 'Config', mesh: '', name: 'cluster-id' };
  const meta = { mesh: '', name: key.name, labels: {}, creationTime: '', modificationTime: '', version: '' };
  await createOnce(store, { type: key.type, meta, spec: { config: randomUUID() } satisfies ConfigSpec });
  const stored = (await store.get(key)) as Resource<ConfigSpec> | undefined;
  if (stored === undefined)
    throw new Error('read Config cluster-id: it was removed while this control plane started; start it again');
  return stored.spec.config;
}
