import { inspectCertificate } from '../../x509/certificate.ts';
import { parseCertificates } from '../../x509/chain.ts';
import { parsePrivateKey, toPkcs8Pem } from '../../x509/key.ts';
import type { EgressTls } from '../egress.ts';
import type { VaultConf } from './conf.ts';
import type { Load } from './connect.ts';

/** A certificate or key of the conf cannot be used; `field` is below `conf.fromCp`. The message has none of it. */
export class TlsMaterialError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.name = 'TlsMaterialError';
    this.field = field;
  }
}

/** TLS to Vault: whom to trust, and the client certificate of `auth.tls`. Throws `TlsMaterialError`, and as `load`. */
export async function loadTls(conf: Pick<VaultConf, 'tls' | 'auth'>, load: Load): Promise<EgressTls> {
  const { caCert, skipVerify, serverName } = conf.tls;
  return {
    ...(caCert !== undefined && { ca: await loadCa(caCert, load) }),
    ...(skipVerify && { rejectUnauthorized: false }),
    ...(serverName !== '' && { servername: serverName }),
    ...(conf.auth.kind === 'tls' && (await loadClientPair(conf.auth.clientCert, conf.auth.clientKey, load))),
  };
}

async function loadCa(source: unknown, load: Load): Promise<string> {
  const pem = await load(source, 'tls.caCert');
  try {
    await Promise.all(parseCertificates(pem).map(inspectCertificate));
    return String(pem);
  } catch (error) {
    throw invalid('tls.caCert', error);
  }
}

async function loadClientPair(certSource: unknown, keySource: unknown, load: Load): Promise<EgressTls> {
  const cert = await load(certSource, 'auth.tls.clientCert');
  const key = await load(keySource, 'auth.tls.clientKey');
  let leaf: Awaited<ReturnType<typeof inspectCertificate>>;
  try {
    leaf = await inspectCertificate(parseCertificates(cert)[0]!);
  } catch (error) {
    throw invalid('auth.tls.clientCert', error);
  }
  try {
    const { privateKey } = parsePrivateKey(key);
    if (!leaf.node.checkPrivateKey(privateKey)) throw new Error('does not match clientCert');
    return { cert: String(cert), key: toPkcs8Pem(privateKey) };
  } catch (error) {
    throw invalid('auth.tls.clientKey', error);
  }
}

function invalid(field: string, error: unknown): TlsMaterialError {
  return new TlsMaterialError(field, error instanceof Error ? error.message : 'it cannot be read');
}
