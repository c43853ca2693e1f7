/** `builtin`, a Kuma backend: the control plane makes a CA of its own per mesh and keeps it in two mesh Secrets. */
import { isIP } from 'node:net';
import type { Violation } from '../resources/resource.ts';
import { createMeshCa } from '../x509/certificate.ts';
import { generateEcKey, generateRsaKey, toTraditionalPem } from '../x509/key.ts';
import type { BackendConfig, CaBackendKind, CaDependencies } from './backend.ts';
import { createBuiltinRenewal } from './builtin-renewal.ts';
import { builtinSecretNames, type CaPems, notConfigured, readStoredCa } from './builtin-secrets.ts';
import { readDuration, readLeafKeyType, readStruct, readUint32 } from './conf.ts';
import { readKeyPair } from './key-pair.ts';
import { createLocalBackend } from './local-backend.ts';
import { CLOCK_SKEW_MS, type LocalCa } from './local-signer.ts';

const TEN_YEARS_MS = 10 * 365 * 86_400_000;
/** X.509 dates end with the year 9999. */
const LAST_DATE_MS = Date.UTC(9999, 11, 31);

interface BuiltinConf {
  /** 0: ECDSA P-256. */
  readonly rsaBits: number;
  readonly expirationMs: number;
}

function readConf(conf: BackendConfig['conf'], path: string): { conf: BuiltinConf; violations: Violation[] } {
  const violations: Violation[] = [];
  const caCert = readStruct(conf, 'caCert', path, violations) ?? {};
  const rsaBits = readUint32(caCert['RSAbits'], 'caCert.RSAbits', path, violations) ?? 0;
  if (rsaBits !== 0 && (rsaBits < 2048 || rsaBits > 8192)) {
    violations.push({
      field: `${path}.caCert.RSAbits`,
      message: 'has to be from 2048 to 8192; leave it out for an ECDSA P-256 CA',
    });
  }
  const expirationMs = readDuration(caCert['expiration'], 'caCert.expiration', path, violations) ?? TEN_YEARS_MS;
  readLeafKeyType(conf, path, violations);
  return { conf: { rsaBits, expirationMs }, violations };
}

export const builtinCa: CaBackendKind = {
  type: 'builtin',
  limits: { concurrency: 4 },
  local: true,

  async validate(config, path, deps) {
    const { conf, violations } = readConf(config.conf, path);
    const secret = builtinSecretNames(config.mesh, config.name).cert;
    // The doubled path is Kuma's and clients know it (compatibility reference, 1.3 and 12).
    const field = `${path}.mtls.backends.name`;
    if (secret.length > 255) violations.push({ field, message: 'Backend name is too long. Max length: 255' });
    if (!isLowerCaseDnsName(secret))
      violations.push({ field, message: `"${config.name}" name must be valid dns name` });
    if (deps.now() + conf.expirationMs > LAST_DATE_MS) {
      violations.push({ field: `${path}.caCert.expiration`, message: 'a CA cannot be valid beyond the year 9999' });
    }
    return violations;
  },

  usedSecrets(config) {
    const { cert, key, renewal } = builtinSecretNames(config.mesh, config.name);
    return [cert, key, renewal];
  },

  async ensure(config, deps) {
    if ((await readStoredCa(config, deps)) !== undefined) return;
    const names = builtinSecretNames(config.mesh, config.name);
    const { cert, key } = await makeCa(config, deps);
    // One transaction: a certificate without its key cannot exist. When another replica was faster, its CA is the one.
    await deps.secrets.createTogether(
      config.mesh,
      new Map([
        [names.cert, Buffer.from(cert)],
        [names.key, Buffer.from(key)],
      ]),
    );
  },

  renewal: createBuiltinRenewal(makeCa),

  open: (config, deps) => createLocalBackend(() => load(config, deps), deps),
};

async function makeCa(config: BackendConfig, deps: CaDependencies): Promise<CaPems> {
  const { conf } = readConf(config.conf, '');
  const keys = conf.rsaBits === 0 ? generateEcKey() : await generateRsaKey(conf.rsaBits);
  const now = deps.now();
  const cert = await createMeshCa({
    mesh: config.mesh,
    keys,
    notBefore: now - CLOCK_SKEW_MS,
    notAfter: Math.min(now + conf.expirationMs, LAST_DATE_MS),
  });
  return { cert, key: toTraditionalPem(keys.privateKey) };
}

async function load(config: BackendConfig, deps: CaDependencies): Promise<LocalCa> {
  const names = builtinSecretNames(config.mesh, config.name);
  const stored = await readStoredCa(config, deps);
  if (stored === undefined) throw notConfigured(config, `Secret "${names.cert}" does not exist`);
  const { signing, renewal } = stored;
  try {
    const other = renewal === undefined ? undefined : signing === renewal.new ? renewal.old : renewal.new;
    return {
      mesh: config.mesh,
      name: config.name,
      ...(await readCa(signing)),
      other: other === undefined ? undefined : await readCa(other),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'cannot be read';
    throw notConfigured(config, `Secrets "${names.cert}" and "${names.key}" are no CA: ${reason}`);
  }
}

/** Source: govalidator `IsDNSName` and `IsLowerCase`, which Kuma 2.11 asks. */
function isLowerCaseDnsName(name: string): boolean {
  const label = '[a-z0-9_][a-z0-9_-]{0,62}';
  return (
    name.replaceAll('.', '').length <= 255 && isIP(name) === 0 && new RegExp(`^${label}(\\.${label})*[._]?$`).test(name)
  );
}

async function readCa({ cert, key }: CaPems): Promise<Pick<LocalCa, 'certificates' | 'key'>> {
  const { certificates, keys } = await readKeyPair(Buffer.from(cert), Buffer.from(key));
  return { certificates, key: keys.privateKey };
}
