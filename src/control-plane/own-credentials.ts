import type { TokenKind } from '../auth/signing-keys.ts';
import type { TokenSettings } from '../auth/tokens.ts';
import { ADMIN_CLIENT_SAN } from '../envoy/tls.ts';
import type { ResourceStore } from '../store/store.ts';
import type { TlsPair } from '../x509/tls-pair.ts';
import { clusterCertificate } from './cluster-certificate.ts';
import type { ControlPlaneConfig } from './config.ts';
import { ensureClusterId, ensureEnvoyAdminCa } from './first-start.ts';
import { loadSealingKey } from './leaf-records.ts';
import { ensureAdminCertificates, generalCertificate, type ServerCertificate } from './server-certificate.ts';
import { loadTokenSettings } from './token-settings.ts';

/** Certificates, keys and ids of the control plane itself. */
export interface OwnCredentials {
  /** What every server presents that has no certificate of its own. */
  readonly server: ServerCertificate;
  /** `server` as it would be loaded now. */
  reloadServer(): Promise<ServerCertificate>;
  /** The CA of Envoy's admin listeners, what they present, and what is shown to them. */
  readonly admin: { readonly ca: TlsPair; readonly server: TlsPair; readonly client: TlsPair };
  readonly clusterId: string;
  /** Seals the keys of leaves in the store. */
  readonly sealingKey: Buffer;
  readonly tokenSettings: Readonly<Record<TokenKind, TokenSettings>>;
}

/** From files and from the store, where what is missing is made. Throws with the file's or the Secret's name. */
export async function loadOwnCredentials(options: {
  config: ControlPlaneConfig;
  store: ResourceStore;
  now: () => number;
}): Promise<OwnCredentials> {
  const { config, store, now } = options;
  const reloadServer = () =>
    config.environment === 'kubernetes'
      ? clusterCertificate(store, config, now())
      : generalCertificate(config.general, now());
  const [server, adminCa, clusterId, sealingKey, tokenSettings] = await Promise.all([
    reloadServer(),
    ensureEnvoyAdminCa(store, now()),
    ensureClusterId(store),
    loadSealingKey(store, config.weft.identity.sealingKeyFile),
    loadTokenSettings(config),
  ]);
  const admin = await ensureAdminCertificates(adminCa, config.general.workDir, ADMIN_CLIENT_SAN, now());
  return { server, reloadServer, admin: { ca: adminCa, ...admin }, clusterId, sealingKey, tokenSettings };
}
