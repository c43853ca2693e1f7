/** What a real Envoy makes of the CRLs in a validation context: what `identity/crls.ts` stands on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestCa, createTestLeaf, type TestCertificate } from '../../src/testing/certificates.ts';
import { eventually, freePort, testEnvoy } from '../../src/testing/envoy.ts';
import { inspectCertificate, readNode } from '../../src/x509/certificate.ts';
import { createCrl } from '../../src/x509/crl.ts';

const envoy = await testEnvoy();
const HOUR = 3_600_000;

/** What a listener trusts. */
interface Trust {
  readonly ca: readonly TestCertificate[];
  readonly crls: readonly string[];
}

describe.skipIf(envoy === undefined)('CRLs in Envoy', () => {
  const ports = new Map<string, number>();
  const clients: Record<string, TestCertificate & { readonly chain: string }> = {};
  let a: TestCertificate;
  let child: ChildProcess | undefined;
  let log = '';

  const crlOf = async (ca: TestCertificate, revoked: readonly TestCertificate[]) =>
    createCrl({
      issuer: await inspectCertificate(ca.der),
      key: ca.keys.privateKey,
      number: 1,
      thisUpdate: Date.now() - HOUR,
      nextUpdate: Date.now() + HOUR,
      revoked: revoked.map(({ der }) => ({ serial: readNode(der).serialNumber.toLowerCase(), at: Date.now() })),
    });

  beforeAll(async () => {
    a = await createTestCa({ subject: 'CN=a' });
    // The next CA of a builtin backend has the same name.
    const a2 = await createTestCa({ subject: 'CN=a' });
    const b = await createTestCa({ subject: 'CN=b' });
    const root = await createTestCa({ subject: 'CN=root' });
    const below = await createTestCa({ subject: 'CN=below', issuer: root });
    const client = async (ca: TestCertificate, upward = '') => {
      const leaf = await createTestLeaf(ca);
      return { ...leaf, chain: leaf.pem + upward };
    };
    Object.assign(clients, {
      revoked: await client(a),
      good: await client(a),
      'good, of the next CA of that name': await client(a2),
      'good, of another CA': await client(b),
      'good, of an intermediate': await client(below, below.pem),
    });
    const [ofA, ofA2, ofB, ofBelow] = [
      await crlOf(a, [clients['revoked']!]),
      await crlOf(a2, []),
      await crlOf(b, []),
      await crlOf(below, []),
    ];
    const ca = [a, a2, b, root];
    const listeners: Record<string, Trust> = {
      'no CRL': { ca, crls: [] },
      'a CRL of every issuer': { ca, crls: [ofA, ofA2, ofB, ofBelow] },
      'none of b': { ca, crls: [ofA, ofA2, ofBelow] },
      'none of the next a': { ca, crls: [ofA, ofB, ofBelow] },
    };
    for (const name of Object.keys(listeners)) ports.set(name, await freePort());
    child = spawn(envoy!, ['--config-yaml', JSON.stringify(await configOf(listeners)), '--use-dynamic-base-id'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await eventually(
      'Envoy listens',
      async () => {
        if (child?.exitCode !== null) throw new Error(`Envoy ended: ${log.slice(-300)}`);
        return (await answer('no CRL', 'good')) === 'ok';
      },
      60_000,
    );
  }, 120_000);
  afterAll(async () => {
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child!.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  });

  async function configOf(listeners: Record<string, Trust>): Promise<object> {
    const server = await createTestLeaf(a);
    const any = (type: string, value: object) => ({
      '@type': `type.googleapis.com/envoy.extensions.${type}`,
      ...value,
    });
    return {
      static_resources: {
        listeners: Object.entries(listeners).map(([name, { ca, crls }]) => ({
          name,
          address: { socket_address: { address: '127.0.0.1', port_value: ports.get(name) } },
          filter_chains: [
            {
              filters: [{ name: 'envoy.filters.network.echo', typed_config: any('filters.network.echo.v3.Echo', {}) }],
              transport_socket: {
                name: 'envoy.transport_sockets.tls',
                typed_config: any('transport_sockets.tls.v3.DownstreamTlsContext', {
                  require_client_certificate: true,
                  common_tls_context: {
                    tls_certificates: [
                      {
                        certificate_chain: { inline_string: server.pem },
                        private_key: { inline_string: server.keyPem },
                      },
                    ],
                    validation_context: {
                      trusted_ca: { inline_string: ca.map(({ pem }) => pem).join('') },
                      ...(crls.length === 0
                        ? {}
                        : { crl: { inline_string: crls.join('') }, only_verify_leaf_cert_crl: true }),
                    },
                  },
                }),
              },
            },
          ],
        })),
      },
    };
  }

  /** `ok`, or that the connection was refused. */
  function answer(listener: string, client: string): Promise<'ok' | 'refused'> {
    const { chain, keyPem } = clients[client]!;
    return new Promise((resolve) => {
      const socket = connect({
        port: ports.get(listener)!,
        host: '127.0.0.1',
        cert: chain,
        key: keyPem,
        rejectUnauthorized: false,
      });
      socket.write('hello');
      socket.on('data', () => {
        resolve('ok');
        socket.destroy();
      });
      socket.on('error', () => resolve('refused'));
      socket.on('close', () => resolve('refused'));
    });
  }

  it.each([
    ['no CRL', []],
    ['a CRL of every issuer', ['revoked']],
    ['none of b', ['revoked', 'good, of another CA']],
    ['none of the next a', ['revoked', 'good, of the next CA of that name']],
  ])('%s: refused are %j', async (listener, refused) => {
    const answers = await Promise.all(Object.keys(clients).map(async (name) => [name, await answer(listener, name)]));
    expect(answers.filter(([, got]) => got === 'refused').map(([name]) => name)).toEqual(refused);
  });
});
