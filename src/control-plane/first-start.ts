import { randomUUID } from 'node:crypto';
import type { SecretCreator } from '../auth/secrets.ts';
import { ensureSigningKey } from '../auth/signing-keys.ts';
import type { Tokens } from '../auth/tokens.ts';
import { ensureAdminToken } from '../auth/users.ts';
import type { Resource } from '../resources/resource.ts';
import { type ResourceStore, StoreError } from '../store/store.ts';
import { readOrCreateSecret } from './secrets.ts';
import { createCa } from './server-certificate.ts';

const TEN_YEARS_MS = 3650 * 86_400_000;

/** Global signing keys and the admin token (kuma-compat 4.2, 5.3). RSA keys take a moment: they are made side by side, off the event loop. */
export async function ensureGlobalKeys(options: {
  secrets: SecretCreator;
  tokens: Tokens;
  bootstrapAdminToken: boolean;
}): Promise<void> {
  await Promise.all([
    ensureSigningKey(options.secrets, 'zone'),
    ensureSigningKey(options.secrets, 'user').then(async () => {
      if (options.bootstrapAdminToken) await ensureAdminToken(options.secrets, options.tokens);
    }),
  ]);
}

/** The Mesh `default` with an empty spec, when the store has no Mesh of that name yet; `undefined` when it had (kuma-compat 1.5). */
export async function createDefaultMesh(
  store: ResourceStore,
  labels: Readonly<Record<string, string>>,
): Promise<Resource | undefined> {
  if ((await store.get({ type: 'Mesh', mesh: '', name: 'default' })) !== undefined) return undefined;
  try {
    return await store.create({
      type: 'Mesh',
      meta: { mesh: '', name: 'default', labels, creationTime: '', modificationTime: '', version: '' },
      spec: {},
    });
  } catch (error) {
    if (error instanceof StoreError && error.code === 'already-exists') return undefined;
    throw error;
  }
}

/** The CA that opens Envoy admin listeners: certificate and key in one PEM, in GlobalSecret `envoy-admin-ca`. Made at first start. */
export async function ensureEnvoyAdminCa(
  store: ResourceStore,
  now: number,
): Promise<{ certPem: string; keyPem: string }> {
  const value = await readOrCreateSecret(store, '', 'envoy-admin-ca', async () => {
    const ca = await createCa('O=Weft, CN=envoy-admin-ca', now, TEN_YEARS_MS);
    return ca.certPem + ca.keyPem;
  });
  const pem = value.toString('utf8');
  const keyStart = pem.search(/-----BEGIN [A-Z ]*PRIVATE KEY-----/);
  const certStart = pem.indexOf('-----BEGIN CERTIFICATE-----');
  if (keyStart < 0 || certStart < 0)
    throw new Error(
      'read GlobalSecret envoy-admin-ca: it must hold a PEM certificate and a PEM private key; delete it to have a new one made',
    );
  return certStart < keyStart
    ? { certPem: pem.slice(certStart, keyStart), keyPem: pem.slice(keyStart) }
    : { certPem: pem.slice(certStart), keyPem: pem.slice(keyStart, certStart) };
}

/** Id of the deployment, the same for every control plane that shares the store. Kept beside the global secrets, though it is none. */
export async function ensureClusterId(store: ResourceStore): Promise<string> {
  const value = await readOrCreateSecret(store, '', 'cluster-id', async () => randomUUID());
  return value.toString('utf8');
}
