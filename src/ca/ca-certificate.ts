import type { Violation } from '../resources/resource.ts';
import { type CertificateFacts, inspectCertificate, KEY_USAGE } from '../x509/certificate.ts';
import { formatCertificates, parseCertificates } from '../x509/chain.ts';
import type { BackendConfig, CaDependencies, TrustAnchors } from './backend.ts';
import { loadDataSource, secretOf } from './data-source.ts';

/** CA certificates out of PEM bytes, each once. Throws an `Error` that says what cannot be read; never with any of the content. */
async function readCaCertificates(pem: Uint8Array): Promise<readonly CertificateFacts[]> {
  const ders = parseCertificates(pem);
  const distinct = ders.filter((der, index) => ders.findIndex((other) => other.equals(der)) === index);
  return Promise.all(distinct.map(inspectCertificate));
}

/** What `conf.caCert` says to trust. Throws an `Error` that says what is wrong with it. */
export async function loadCaCert(config: BackendConfig, caCert: unknown, deps: CaDependencies): Promise<TrustAnchors> {
  const certificates = await readCaCertificates(await loadDataSource(config.mesh, caCert, deps));
  // Several: an old and a new CA. The old one may end while it is still listed.
  const alive = certificates.filter((facts) => caProblem(facts, deps.now()) === undefined);
  if (alive.length === 0) throw new Error(caProblem(certificates[0]!, deps.now()));
  return {
    pem: formatCertificates(alive.map(({ der }) => der)),
    notAfter: Math.min(...alive.map(({ node }) => node.validToDate.getTime())),
  };
}

/** Every reason why `conf.caCert` can't be what a mesh trusts. `path` is its field. */
export async function caCertViolations(
  config: BackendConfig,
  caCert: unknown,
  path: string,
  deps: CaDependencies,
): Promise<readonly Violation[]> {
  const secret = secretOf(caCert);
  try {
    if (secret !== undefined && (await deps.secrets.read(config.mesh, secret)) === undefined) {
      return [{ field: `${path}.secret`, message: missingSecret(config.mesh, secret, deps) }];
    }
    const bytes = await loadDataSource(config.mesh, caCert, deps);
    if (bytes.includes('PRIVATE KEY')) {
      return [
        { field: path, message: 'has a private key in it; give the certificate only, the key stays with the issuer' },
      ];
    }
    const certificates = await readCaCertificates(bytes);
    return certificates.flatMap((facts, index) => {
      const message = caProblem(facts, deps.now());
      return message === undefined ? [] : [{ field: certificates.length > 1 ? `${path}[${index}]` : path, message }];
    });
  } catch (error) {
    return [{ field: path, message: error instanceof Error ? error.message : 'could not load data' }];
  }
}

function caProblem({ isCa, keyUsage, node }: CertificateFacts, now: number): string | undefined {
  if (!isCa) return "not a CA certificate: basic constraint 'CA' must be set to 'true'";
  if (keyUsage !== undefined && (keyUsage & KEY_USAGE.keyCertSign) === 0) {
    return "not a CA certificate: key usage extension 'keyCertSign' must be set";
  }
  const until = node.validToDate;
  return now >= until.getTime() ? `expired at ${until.toISOString()}; give a CA that is still valid` : undefined;
}

/** Whether a plain Kubernetes Secret of that name exists is not asked: that would need the right to read the key in it. */
function missingSecret(mesh: string, name: string, { certManager }: CaDependencies): string {
  const missing = `there is no Secret "${name}" in mesh "${mesh}"`;
  if (certManager === undefined) {
    return `${missing}; make it of the CA certificate: printf 'type: Secret\\nmesh: ${mesh}\\nname: ${name}\\ndata: %s\\n' "$(base64 -w0 ca.crt)" | weft apply -f -`;
  }
  const namespace = certManager.systemNamespace;
  return `there is no mesh Secret "${name}" in mesh "${mesh}"; a plain Kubernetes Secret is not read, make a mesh Secret of the certificate in it and name that one: kubectl create secret generic ${name}-cert -n ${namespace} --type system.kuma.io/secret --from-file value=ca.crt && kubectl label secret ${name}-cert -n ${namespace} kuma.io/mesh=${mesh}`;
}
