import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BackendConfig, CaBackend, CaDependencies, CaNotice } from '../../../src/ca/backend.ts';
import { createFileReader } from '../../../src/ca/index.ts';
import { keyOf } from '../../../src/ca/own-leaf.ts';
import { openVault, vaultCa } from '../../../src/ca/vault/backend.ts';
import { readVaultConf } from '../../../src/ca/vault/conf.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { createCaDependencies, createMemorySecrets, createRequest } from '../../../src/testing/ca-contract.ts';
import { createTestCa, createTestLeaf } from '../../../src/testing/certificates.ts';
import { startFaultProxy } from '../../../src/testing/fault-proxy.ts';
import { createIssuanceWorld } from '../../../src/testing/issuance-world.ts';
import { missingOpenBao, type OpenBao, startOpenBao } from '../../../src/testing/openbao.ts';
import { createTestPki, type TestPki, testEgress } from '../../../src/testing/openbao-pki.ts';
import { createTrustStore, verifyLeaf } from '../../../src/x509/verify.ts';

const missing = missingOpenBao();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

const PATH = 'mtls.backends[0].conf';
const signal = () => AbortSignal.timeout(60_000);
const eventually = <T>(check: () => T, timeout = 60_000) => vi.waitFor(check, { timeout, interval: 50 });

describe.skipIf(missing !== undefined)(`vault${missing === undefined ? '' : ` (${missing})`}`, () => {
  let bao: OpenBao;
  let pki: TestPki;
  const opened: CaBackend[] = [];
  beforeAll(async () => {
    bao = await startOpenBao();
    pki = await createTestPki(bao);
  });
  afterAll(async () => {
    for (const one of opened) await one.close?.();
    await bao?.close();
  });

  const deps = (change = {}) => createCaDependencies({ egress: testEgress(), ...change });

  function open(
    config: BackendConfig,
    how: Partial<CaDependencies> & { clock?: Clock; watchMs?: number } = {},
  ): CaBackend {
    const { clock = systemClock, watchMs, ...change } = how;
    const found = deps(change);
    const conf = readVaultConf(config.conf, PATH, found.egress.urlProblem, []);
    const backend = openVault(config, conf, found, clock, watchMs);
    opened.push(backend);
    return backend;
  }

  /** Signs one leaf and checks it as a proxy's is; answers whose key it is. */
  async function issue(backend: CaBackend, change = {}): Promise<'own key' | "the issuer's key"> {
    const request = createRequest('default', change);
    const chain = await backend.sign(request, signal());
    const verdict = await verifyLeaf(chain.pem, {
      keys: keyOf(chain, request.keys),
      uriSans: request.uriSans,
      trust: await createTrustStore(chain.anchorsPem ?? ''),
      now: Date.now(),
    });
    if (!verdict.ok) expect.fail(verdict.message);
    return chain.privateKeyPem === undefined ? 'own key' : "the issuer's key";
  }
  const failure = (backend: CaBackend, change = {}) =>
    backend.sign(createRequest('default', change), signal()).then(
      () => ({ code: 'none', reason: 'none', message: '', fix: '' }),
      (error) => error,
    );
  const given = (token: string) => ({ auth: { token: { inlineString: token } } });

  describe('logs in', () => {
    it('with a token from a Secret, and reads nothing else with it', async () => {
      const secrets = createMemorySecrets({ token: `${await pki.token(['sign'])}\n`, ca: bao.caPem });
      const config = pki.config({ auth: { token: { secret: 'token' } }, tls: { caCert: { secret: 'ca' } } });
      expect(await vaultCa.validate(config, PATH, deps({ secrets }))).toEqual([]);
      expect(vaultCa.usedSecrets(config)).toEqual(['ca', 'token']);
      expect(await issue(open(config, { secrets }))).toBe('own key');
    });

    it('with AppRole', async () => {
      await bao.write('sys/auth/approle', { type: 'approle' });
      await pki.token(['sign'], {});
      const policy = await policyOf(['sign']);
      await bao.write('auth/approle/role/weft', { token_policies: [policy], token_ttl: '20m' });
      const { role_id: roleId } = (await bao.call('GET', 'auth/approle/role/weft/role-id')).body['data'] as {
        role_id: string;
      };
      const { secret_id: secretId } = await bao.write('auth/approle/role/weft/secret-id');
      const appRole = (id: unknown) => ({
        auth: { appRole: { roleId: { inlineString: roleId }, secretId: { inlineString: id } } },
      });
      expect(await issue(open(pki.config(appRole(secretId))))).toBe('own key');
      expect(await failure(open(pki.config(appRole('no'))))).toMatchObject({
        code: 'forbidden',
        reason: 'LoginRefused',
        message: expect.stringMatching(/conf\.fromCp\.auth\.appRole \(invalid role or secret ID\)/),
      });
    });

    it('with a client certificate', async () => {
      const ca = await createTestCa({ subject: 'CN=clients' });
      const client = await createTestLeaf(ca, { subject: 'CN=weft', uriSans: [], dnsSans: ['weft'] });
      await bao.write('sys/auth/cert', { type: 'cert' });
      await bao.write('auth/cert/certs/weft', { certificate: ca.pem, token_policies: [await policyOf(['sign'])] });
      const tls = (pair: typeof client) => ({
        auth: { tls: { clientCert: { inlineString: pair.pem }, clientKey: { inlineString: pair.keyPem } } },
      });
      expect(await issue(open(pki.config(tls(client))))).toBe('own key');
      const stranger = await createTestLeaf(await createTestCa({ subject: 'CN=others' }), { subject: 'CN=weft' });
      expect(await failure(open(pki.config(tls(stranger))))).toMatchObject({ reason: 'LoginRefused' });
    });

    it('with the ServiceAccount token of a Pod, from a directory that is allowed only', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'weft-vault-'));
      const name = { namespace: 'kong-mesh-system', serviceAccount: 'weft-control-plane' };
      const claim = Buffer.from(
        JSON.stringify({
          'kubernetes.io': { namespace: name.namespace, serviceaccount: { name: name.serviceAccount, uid: '1' } },
          sub: `system:serviceaccount:${name.namespace}:${name.serviceAccount}`,
          nbf: Math.floor(Date.now() / 1000) - 60,
          iat: Math.floor(Date.now() / 1000) - 60,
          exp: Math.floor(Date.now() / 1000) + 600,
        }),
      ).toString('base64url');
      const jwt = `${Buffer.from('{"alg":"RS256","typ":"JWT"}').toString('base64url')}.${claim}.c2ln`;
      writeFileSync(join(directory, 'token'), jwt);
      const reviews = createServer((_request, response) => {
        const user = { username: `system:serviceaccount:${name.namespace}:${name.serviceAccount}`, uid: '1' };
        response.setHeader('content-type', 'application/json');
        response.writeHead(201).end(JSON.stringify({ kind: 'TokenReview', status: { authenticated: true, user } }));
      });
      await new Promise<void>((resolve) => reviews.listen(0, '127.0.0.1', resolve));
      try {
        await bao.write('sys/auth/kubernetes', { type: 'kubernetes' });
        const { port } = reviews.address() as AddressInfo;
        const host = `http://127.0.0.1:${port}`;
        await bao.write('auth/kubernetes/config', {
          kubernetes_host: host,
          kubernetes_ca_cert: bao.caPem,
          token_reviewer_jwt: jwt,
        });
        await bao.write('auth/kubernetes/role/weft', {
          bound_service_account_names: name.serviceAccount,
          bound_service_account_namespaces: name.namespace,
          token_policies: [await policyOf(['sign'])],
        });
        const config = pki.config({ auth: { kubernetes: { role: 'weft', tokenPath: join(directory, 'token') } } });
        const readFile = createFileReader({ allowedFileRoots: [directory] });
        expect(await issue(open(config, { readFile }))).toBe('own key');
        expect(await failure(open(config))).toMatchObject({
          code: 'not-configured',
          reason: 'TokenFileMissing',
          message: expect.stringMatching(/reading files is not allowed/),
        });
      } finally {
        reviews.close();
        reviews.closeAllConnections();
        rmSync(directory, { recursive: true });
      }
    });

    it('with the AWS role of the machine, which only Vault can check', async () => {
      // OpenBao has no auth/aws: the login alone is a fake's, which gives out a real token.
      const proxy = await startFaultProxy(bao.address, bao.caPem);
      const token = await pki.token(['sign']);
      const logins: Record<string, string>[] = [];
      proxy.answer = async ({ path, body }) => {
        if (path !== '/v1/auth/aws/login') return undefined;
        logins.push(JSON.parse(String(body)));
        const auth = { client_token: token, lease_duration: 3600, renewable: true };
        return { status: 200, body: JSON.stringify({ auth }) };
      };
      vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'canary-aws');
      try {
        const aws = { role: 'weft', iamServerIdHeader: 'vault.example.com' };
        const tls = { caCert: { inlineString: proxy.caPem } };
        expect(await issue(open(pki.config({ address: proxy.address, tls, auth: { aws } })))).toBe('own key');
        expect(logins).toMatchObject([{ role: 'weft', iam_http_request_method: 'POST' }]);
        expect(Buffer.from(logins[0]!['iam_request_headers']!, 'base64').toString()).toContain('AKIDEXAMPLE');
        expect(JSON.stringify(logins)).not.toContain('canary-aws');
      } finally {
        vi.unstubAllEnvs();
        await proxy.close();
      }
    });

    it('once for many proxies, and once more when Vault has forgotten the token', async () => {
      await bao.write('sys/auth/again', { type: 'approle' });
      await bao.write('auth/again/role/weft', { token_policies: [await policyOf(['sign'])], token_ttl: '20m' });
      const { role_id: roleId } = (await bao.call('GET', 'auth/again/role/weft/role-id')).body['data'] as {
        role_id: string;
      };
      const { secret_id: secretId } = await bao.write('auth/again/role/weft/secret-id');
      let later = 0;
      const backend = open(
        pki.config({
          auth: {
            appRole: { roleId: { inlineString: roleId }, secretId: { inlineString: secretId }, mountPath: 'again' },
          },
        }),
        { clock: { ...systemClock, monotonic: () => systemClock.monotonic() + later } },
      );
      const accessors = async () => {
        const { body } = await bao.call('GET', 'auth/token/accessors?list=true');
        return ((body['data'] as { keys: string[] } | undefined)?.keys ?? []).length;
      };
      const before = await accessors();
      await Promise.all(Array.from({ length: 20 }, () => issue(backend)));
      expect(await accessors()).toBe(before + 1);
      await bao.write('sys/leases/revoke-prefix/auth/again');
      // A token of a moment ago is not replaced: its policies would be at fault.
      later = 3_600_000;
      expect(await Promise.all(Array.from({ length: 5 }, () => issue(backend)))).toHaveLength(5);
      expect(await accessors()).toBe(before + 1);
    });
  });

  /** Name of a new policy. */
  async function policyOf(rights: Parameters<TestPki['token']>[0]): Promise<string> {
    const token = await pki.token(rights);
    const { body } = await bao.call('GET', 'auth/token/lookup-self', undefined, { token });
    return (body['data'] as { policies: string[] }).policies.find((name) => name !== 'default')!;
  }

  describe('where the policy allows', () => {
    it('issue only, Vault makes the keys, and that is said with the policy that ends it', async () => {
      const own = await createTestPki(bao, { role: { key_type: 'ec' } });
      const token = await own.token(['issue']);
      const backend = open(own.config(given(token)));
      const notices: CaNotice[] = [];
      backend.notices?.((notice) => notices.push(notice));
      expect(await issue(backend)).toBe("the issuer's key");
      expect(await Promise.all([issue(backend), issue(backend)])).toEqual(["the issuer's key", "the issuer's key"]);
      expect(notices).toHaveLength(1);
      expect(notices[0]).toMatchObject({
        kind: 'remark',
        remark: { reason: 'IssuerMakesKeys', fix: expect.stringContaining(`path "${own.mount}/sign/${own.role}"`) },
      });
      expect(await failure(backend, { keyIsElsewhere: true })).toMatchObject({
        code: 'denied',
        reason: 'SignNotAllowed',
        fix: expect.stringContaining('/sign/'),
      });
    });

    it('issue only, and the leaf with its key is held and sealed like any other', async () => {
      const own = await createTestPki(bao, { role: { key_type: 'rsa' } });
      await using world = await createIssuanceWorld({ kind: vaultCa, deps: deps() });
      world.use(own.config(given(await own.token(['issue']))).conf);
      world.want('web-1');
      await eventually(() => expect(world.leaf('web-1')).toBeDefined());
      expect(world.backend()).toMatchObject({ state: 'Ready', reason: 'IssuerMakesKeys' });
      expect(world.leaf('web-1')?.keyPem).toContain('BEGIN PRIVATE KEY');
    });

    it('issue only and not even to ask what it allows, all the same', async () => {
      const own = await createTestPki(bao, { role: { key_type: 'ec' } });
      const token = await own.token(['issue'], { no_default_policy: true });
      expect(await issue(open(own.config(given(token))))).toBe("the issuer's key");
    });

    it('nothing, the policy line is given', async () => {
      const error = await failure(open(pki.config(given(await pki.token(['read-role'])))));
      expect(error).toMatchObject({ code: 'forbidden', reason: 'PermissionDenied' });
      expect(error.fix).toBe(
        `path "${pki.mount}/sign/dataplane-proxies" {\n  capabilities = ["create", "update"]\n}\n`,
      );
      expect(await failure(open(pki.config(given('s.no-such-token'))))).toMatchObject({ reason: 'PermissionDenied' });
    });
  });

  describe('says what is wrong', () => {
    it.each([
      ['a role that is not there', { role: 'nope' }, 'RoleNotFound', /vault write pki-\d+\/roles\/nope/],
      ['a mount that is not there', { pki: 'nope' }, 'PkiNotFound', /vault secrets enable -path=nope pki/],
      ['a mount of something else', { pki: 'sys' }, 'NotPki', undefined],
      ['a namespace that is not there', { namespace: 'nope' }, 'NamespaceNotFound', undefined],
      ['a CA that is not trusted', { tls: {} }, 'TlsUnknownAuthority', undefined],
      ['another server name', { tls: { skipVerify: false, serverName: 'vault' } }, 'TlsWrongName', undefined],
      ['nothing there', { address: 'https://localhost:1' }, 'ConnectionRefused', undefined],
    ] as const)('with %s', async (_name, change, reason, fix) => {
      const tls = { caCert: { inlineString: bao.caPem }, ...('tls' in change ? change.tls : {}) };
      const merged = 'tls' in change && Object.keys(change.tls).length === 0 ? change : { ...change, tls };
      const error = await failure(open(pki.config(merged)));
      expect(error).toMatchObject({ reason });
      expect(error.message).toMatch(/^backend "vault-1" of mesh default: /);
      if (fix !== undefined) expect(error.fix).toMatch(fix);
    });

    it('with http where there is TLS, and with a Vault that is refused by the rule', async () => {
      const plain = bao.address.replace('https', 'http');
      expect(await failure(open(pki.config({ address: plain })))).toMatchObject({ code: 'invalid-request' });
      const strict = { egress: createCaDependencies().egress };
      expect(await failure(open(pki.config(), strict))).toMatchObject({
        code: 'forbidden',
        reason: 'EndpointNotAllowed',
        fix: expect.stringContaining('allowedEndpoints'),
      });
    });

    it('when it is not initialised, and when it is sealed; the leaf stays, and all goes on when it is unsealed', async () => {
      const other = await startOpenBao({ initialise: false });
      try {
        const early = { ...pki.config({ address: other.address, tls: { caCert: { inlineString: other.caPem } } }) };
        expect(await failure(open(early))).toMatchObject({ reason: 'NotInitialised', fix: 'vault operator init' });
        await other.initialise();
        const own = await createTestPki(other);
        await using world = await createIssuanceWorld({ kind: vaultCa, deps: deps() });
        world.use(own.config().conf);
        world.want('web-1');
        await eventually(() => expect(world.leaf('web-1')).toBeDefined());
        const { serial } = world.leaf('web-1')!;
        await other.seal();
        world.want('web-1', { uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web', 'kuma://v/2'] });
        await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'Sealed' }));
        expect(world.leaf('web-1')?.serial).toBe(serial);
        await other.unseal();
        await eventually(() => expect(world.leaf('web-1')?.serial).not.toBe(serial));
        expect(world.backend()).toMatchObject({ state: 'Ready' });
      } finally {
        await other.close();
      }
    });
  });

  it('works inside a namespace', async () => {
    await bao.write('sys/namespaces/team');
    const inside = { ...bao, write: (path: string, body?: object) => bao.write(path, body, { namespace: 'team' }) };
    const own = await createTestPki({ ...inside, rootToken: bao.rootToken });
    expect(await issue(open(own.config({ namespace: 'team' })))).toBe('own key');
    expect(await failure(open(own.config()))).toMatchObject({ reason: 'PkiNotFound' });
  });

  it('gives leaves a common name that is made of the tags, and says how to allow one', async () => {
    const own = await createTestPki(bao);
    const commonName = '{{ tag "kuma.io/service" | replace "_" "-" }}.mesh';
    const backend = open(own.config({ commonName }));
    const error = await failure(backend);
    expect(error).toMatchObject({ reason: 'CommonNameNotAllowed' });
    await paste(error.fix);
    const chain = await backend.sign(createRequest('default'), signal());
    expect(chain.dnsNames ?? []).toEqual([]);
    expect(await issue(backend)).toBe('own key');
  });

  it('notices another CA of the mount without being asked for a leaf', async () => {
    const own = await createTestPki(bao);
    const backend = open(own.config(), { watchMs: 50 });
    const notices: CaNotice[] = [];
    backend.notices?.((notice) => notices.push(notice));
    expect((await backend.trustAnchors(signal())).pem).toBe(own.rootPem);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(notices).toEqual([]);
    const next = await own.replaceCa();
    await eventually(() => expect(notices).toContainEqual({ kind: 'changed' }));
    expect((await backend.trustAnchors(signal())).pem).toBe(next);
  });

  it('asks once more for less where the leaf would outlive the CA, also where the role lets it', async () => {
    for (const behaviour of ['err', 'permit', 'truncate']) {
      const own = await createTestPki(bao, { caTtl: '1h' });
      await bao.write(`${own.mount}/issuer/default`, { leaf_not_after_behavior: behaviour });
      const backend = open(own.config());
      expect([behaviour, await issue(backend, { lifetimeMs: 7_200_000 })]).toEqual([behaviour, 'own key']);
    }
  });

  describe('a token', () => {
    it('is renewed before it ends, and one that cannot be is told', async () => {
      const renewable = await pki.token(['sign'], { ttl: '3s', explicit_max_ttl: '1h' });
      const ending = await pki.token(['sign'], { ttl: '3s', renewable: false });
      const [first, second] = [open(pki.config(given(renewable))), open(pki.config(given(ending)))];
      const notices: CaNotice[] = [];
      second.notices?.((notice) => notices.push(notice));
      await Promise.all([issue(first), issue(second)]);
      await eventually(() =>
        expect(notices).toContainEqual(
          expect.objectContaining({ kind: 'remark', remark: expect.objectContaining({ reason: 'TokenEnds' }) }),
        ),
      );
      await eventually(async () => expect(await failure(second)).toMatchObject({ reason: 'PermissionDenied' }));
      expect(await issue(first)).toBe('own key');
    });

    it('that is replaced in its Secret is used at once', async () => {
      const secrets = createMemorySecrets({ token: 's.wrong' });
      await using world = await createIssuanceWorld({ kind: vaultCa, deps: deps({ secrets }) });
      world.use(pki.config({ auth: { token: { secret: 'token' } } }).conf);
      world.want('web-1');
      await eventually(() => expect(world.backend()).toMatchObject({ state: 'Failing', reason: 'PermissionDenied' }));
      secrets.values.set('default/token', Buffer.from(await pki.token(['sign'])));
      world.identity.secretChanged('default', 'token');
      await eventually(() => expect(world.leaf('web-1')).toBeDefined(), 30_000);
      expect(world.backend()).toMatchObject({ state: 'Ready' });
    });
  });

  /** Runs a command as an operator would who has the CLI and a token. */
  async function paste(command: string): Promise<void> {
    const env = { PATH: process.env['PATH'], BAO_ADDR: bao.address, BAO_TOKEN: bao.rootToken, HOME: tmpdir() };
    const directory = mkdtempSync(join(tmpdir(), 'weft-vault-'));
    try {
      writeFileSync(join(directory, 'ca.pem'), bao.caPem);
      const script = `vault() { "${bao.program}" "$@"; }\n${command}`;
      await promisify(execFile)('bash', ['-c', script], { env: { ...env, BAO_CACERT: join(directory, 'ca.pem') } });
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  describe('the rehearsal', () => {
    const rehearse = (config: BackendConfig) =>
      vaultCa.rehearse!({ ...config, leafLifetimeMs: 86_400_000 }, PATH, deps(), signal());
    const faults = [
      ['no URI SANs', { allowed_uri_sans: '' }, /allows no URI SANs such as spiffe:\/\/default\/\* and kuma:\/\/\*/],
      ['SPIFFE IDs only', { allowed_uri_sans: 'spiffe://default/*' }, /no URI SANs such as kuma:/],
      ['a common name wanted', { require_cn: true }, /wants a common name/],
      ['RSA keys only', { key_type: 'rsa' }, /takes only rsa keys/],
      ['no client', { client_flag: false }, /leaves out clientAuth/],
      ['a short life', { max_ttl: '30m' }, /cuts the life of leaves to 30m/],
      [
        "the key usages of Kong Mesh's page",
        { key_usage: 'KeyUsageKeyEncipherment,KeyUsageKeyAgreement,KeyUsageDigitalSignature' },
        /its names have no prefix/,
      ],
    ] as const;

    it.each(faults)('finds %s by reading the role, and its command mends it', async (_name, role, words) => {
      const own = await createTestPki(bao, { role });
      const config = own.config(given(await own.token(['sign', 'read-role'])));
      const found = await rehearse(config);
      expect(found).toEqual([
        {
          field: `${PATH}.fromCp.role`,
          message: expect.stringMatching(words),
          fix: expect.stringMatching(/^vault write/),
        },
      ]);
      await paste(found[0]!.fix!);
      expect(await rehearse(config)).toEqual([]);
    });

    it.each(faults)('finds %s by a leaf where the role cannot be read', async (_name, role, words) => {
      const own = await createTestPki(bao, { role });
      const config = own.config(given(await own.token(['sign'])));
      const found = await rehearse(config);
      expect(found).toHaveLength(1);
      expect(found[0]).toMatchObject({ field: `${PATH}.fromCp.role`, fix: expect.stringMatching(/^vault write/) });
      await paste(found[0]!.fix!);
      expect(await rehearse(config)).toEqual([]);
      expect(words).toBeDefined();
    });

    it('finds all faults at once, and keeps what is right in the role', async () => {
      const role = {
        require_cn: true,
        key_type: 'rsa',
        key_bits: 4096,
        organization: 'shop',
        no_store: true,
        ttl: '10m',
      };
      const own = await createTestPki(bao, { role });
      const found = await rehearse(own.config());
      expect(found.map(({ message }) => message)).toEqual([
        expect.stringMatching(/common name/),
        expect.stringMatching(/rsa keys/),
      ]);
      await paste(found[0]!.fix!);
      expect(await rehearse(own.config())).toEqual([]);
      const { body } = await bao.call('GET', `${own.mount}/roles/${own.role}`);
      expect(body['data']).toMatchObject({ organization: ['shop'], no_store: true, ttl: 600, require_cn: false });
    });

    it('finds a mount that cuts the life of leaves', async () => {
      const own = await createTestPki(bao, { role: { max_ttl: 0 } });
      await bao.write(`sys/mounts/${own.mount}/tune`, { max_lease_ttl: '1h' });
      const found = await rehearse(own.config());
      expect(found).toMatchObject([{ fix: `vault secrets tune -max-lease-ttl=720h ${own.mount}\n` }]);
      await paste(found[0]!.fix!);
      expect(await rehearse(own.config())).toEqual([]);
    });

    it.each([
      ['pki', { pki: 'nope' }],
      ['role', { role: 'nope' }],
      ['namespace', { namespace: 'nope' }],
    ])('names the field %s', async (field, change) => {
      expect(await rehearse(pki.config(change))).toMatchObject([{ field: `${PATH}.fromCp.${field}` }]);
    });

    it('says that it cannot find out when Vault is not there', async () => {
      await expect(rehearse(pki.config({ address: 'https://localhost:1' }))).rejects.toMatchObject({
        code: 'unavailable',
        reason: 'ConnectionRefused',
      });
    });
  });
});
