import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestCa, createTestLeaf, type TestCertificate } from '../../src/testing/certificates.ts';
import { CLIENT_AUTH, SERVER_AUTH } from '../../src/x509/certificate.ts';
import { generateEcKey, toTraditionalPem } from '../../src/x509/key.ts';

/** First address of the Services: the API server's own, as Pods see it. */
const KUBERNETES_SERVICE = '10.96.0.1';

/** The files an API server and its neighbours need to know each other. All are in the state directory, readable by its owner only. */
export interface Credentials {
  /** PEM of the CA that signed every certificate of the cluster. */
  readonly ca: string;
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  /** Signs ServiceAccount tokens. */
  readonly serviceAccountKeyFile: string;
  readonly tokenFile: string;
  /** Bearer token of a member of system:masters. */
  readonly adminToken: string;
  /** PEM certificate and key of a user, signed by the cluster's CA. */
  clientCertificate(user: string, groups: readonly string[]): Promise<{ certificate: string; key: string }>;
  /** A serving certificate for `names` (DNS names and addresses) as two files called `name`. */
  servingCertificate(name: string, ips: readonly string[]): Promise<{ certFile: string; keyFile: string }>;
}

/** Makes the CA, keys and tokens of a cluster. `address`: where the API server is reached besides 127.0.0.1. */
export async function createCredentials(directory: string, address: string): Promise<Credentials> {
  const write = (name: string, content: string) => {
    const file = join(directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  const ca = await createTestCa({ subject: 'CN=weft-test-cluster', uriSans: [] });
  const adminToken = randomBytes(16).toString('hex');

  async function servingCertificate(name: string, ips: readonly string[]) {
    const leaf = await createTestLeaf(ca, {
      subject: `CN=${name}`,
      uriSans: [],
      dnsSans: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
      ipSans: ips,
      extendedKeyUsage: [SERVER_AUTH],
    });
    return writePair(name, leaf);
  }

  function writePair(name: string, leaf: TestCertificate) {
    return { certFile: write(`${name}.crt`, leaf.pem), keyFile: write(`${name}.key`, leaf.keyPem) };
  }

  const server = await servingCertificate('kube-apiserver', [...new Set(['127.0.0.1', address, KUBERNETES_SERVICE])]);
  return {
    ca: ca.pem,
    caFile: write('ca.crt', ca.pem),
    serverCertFile: server.certFile,
    serverKeyFile: server.keyFile,
    serviceAccountKeyFile: write('service-account.key', toTraditionalPem(generateEcKey().privateKey)),
    tokenFile: write('tokens.csv', `${adminToken},admin,admin,system:masters\n`),
    adminToken,
    servingCertificate,
    async clientCertificate(user, groups) {
      const leaf = await createTestLeaf(ca, {
        subject: [...groups.map((group) => `O=${group}`), `CN=${user}`].join(', '),
        uriSans: [],
        extendedKeyUsage: [CLIENT_AUTH],
      });
      return { certificate: leaf.pem, key: leaf.keyPem };
    },
  };
}
