import type { BackendConfig } from '../ca/backend.ts';
import { createEgress, type Egress } from '../ca/egress.ts';
import type { OpenBao } from './openbao.ts';

/** A PKI engine for one mesh, as Kong Mesh's page sets it up: an intermediate CA below a root elsewhere, one role, one policy. */
export interface TestPki {
  readonly mount: string;
  readonly role: string;
  /** Of the root. */
  readonly rootPem: string;
  /** A token whose policy allows this and nothing else. */
  token(rights: readonly ('sign' | 'issue' | 'read-role')[], options?: object): Promise<string>;
  /** Writes the role anew: what a mesh needs, but for `change`. */
  writeRole(change?: object): Promise<void>;
  /** Gives the engine another CA below another root; answers the root. */
  replaceCa(): Promise<string>;
  /** `mtls.backends[0]` with this engine; `auth` absent: the root token. */
  config(fromCp?: object): BackendConfig;
}

/** What a role of a mesh has. */
const ROLE = { require_cn: false, key_type: 'any', client_flag: true, server_flag: true, max_ttl: '720h' };

let made = 0;

/** `caTtl`: life of its CA; `caKey`: its key, `rsa` as an engine makes it when nothing is said. */
export async function createTestPki(
  bao: OpenBao,
  options: {
    readonly caTtl?: string;
    readonly caKey?: 'ec' | 'rsa';
    readonly mesh?: string;
    readonly role?: object;
  } = {},
): Promise<TestPki> {
  const { caTtl = '8760h', caKey = 'ec', mesh = 'default' } = options;
  made += 1;
  const mount = `pki-${made}`;
  const role = 'dataplane-proxies';
  const config = { max_lease_ttl: '87600h' };
  await bao.write(`sys/mounts/${mount}`, { type: 'pki', config });

  async function replaceCa(): Promise<string> {
    made += 1;
    const rootMount = `root-${made}`;
    await bao.write(`sys/mounts/${rootMount}`, { type: 'pki', config });
    const root = await bao.write(`${rootMount}/root/generate/internal`, {
      common_name: `root ${made}`,
      key_type: caKey,
      ttl: '87600h',
    });
    const { csr } = await bao.write(`${mount}/intermediate/generate/internal`, {
      common_name: `mesh ${mesh} ${made}`,
      key_type: caKey,
      uri_sans: `spiffe://${mesh}`,
    });
    const signed = await bao.write(`${rootMount}/root/sign-intermediate`, { csr, format: 'pem_bundle', ttl: caTtl });
    const bundle = `${signed['certificate']}\n${root['certificate']}`;
    const { imported_issuers: issuers, mapping } = await bao.write(`${mount}/intermediate/set-signed`, {
      certificate: bundle,
    });
    // The one with a key here.
    const keyed = (issuers as string[]).find((issuer) => (mapping as Record<string, string>)[issuer] !== '');
    await bao.write(`${mount}/config/issuers`, { default: keyed });
    return `${String(root['certificate']).trim()}\n`;
  }

  const rootPem = await replaceCa();
  const self: TestPki = {
    mount,
    role,
    rootPem,
    replaceCa,
    async token(rights, how = {}) {
      made += 1;
      const policy = `policy-${made}`;
      const path = (right: string) => (right === 'read-role' ? `${mount}/roles/${role}` : `${mount}/${right}/${role}`);
      const rules = rights.map(
        (right) => `path "${path(right)}" { capabilities = ["${right === 'read-role' ? 'read' : 'update'}"] }`,
      );
      await bao.write(`sys/policies/acl/${policy}`, { policy: rules.join('\n') });
      const { client_token: token } = await bao.write('auth/token/create', {
        policies: [policy],
        no_parent: true,
        ttl: '1h',
        ...how,
      });
      return String(token);
    },
    async writeRole(change = {}) {
      await bao.write(`${mount}/roles/${role}`, {
        allowed_uri_sans: `spiffe://${mesh}/*,kuma://*`,
        ...ROLE,
        ...change,
      });
    },
    config(fromCp = {}) {
      const conf = {
        fromCp: {
          address: bao.address,
          pki: mount,
          role,
          tls: { caCert: { inlineString: bao.caPem } },
          auth: { token: { inlineString: bao.rootToken } },
          ...fromCp,
        },
      };
      return { mesh, name: 'vault-1', type: 'vault', conf };
    },
  };
  await self.writeRole(options.role);
  return self;
}

/** The way to an OpenBao of a test. */
export function testEgress(): Egress {
  return createEgress({ allowedEndpoints: ['localhost'] });
}
