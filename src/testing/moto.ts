import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { inspectCsr } from '../x509/csr.ts';
import { generateEcKey } from '../x509/key.ts';
import { parsePem, toPem } from '../x509/pem.ts';
import { createTestCa, type TestCertificate } from './certificates.ts';

const FOLDER = join(import.meta.dirname, '../../.tools/aws');
export const MOTO_REGION = 'eu-west-1';

/**
 * A moto server: AWS's API with AWS Private CA, IAM and all, in memory. Its leaves live a year whatever is asked, and no call is ever slow or one too many:
 * for those there is `fakes/acm-pca`.
 */
export interface Moto {
  readonly endpoint: string;
  /** One call of AWS Private CA as somebody who may everything; not after `enforceRights`. */
  call(action: string, input: object): Promise<Readonly<Record<string, unknown>>>;
  /** A CA that is active: its certificate is signed by `root`. */
  createCa(): Promise<{ readonly arn: string; readonly root: TestCertificate }>;
  /** A user of IAM; with `policy` (JSON) that is what it may. */
  createUser(
    name: string,
    policy?: string,
  ): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }>;
  setPolicy(user: string, policy: string): Promise<void>;
  /** From now on signatures and rights are checked. */
  enforceRights(on: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Why there is none to test with; `undefined` when there is. Under CI=true its tests are to fail, elsewhere they skip. */
export function missingMoto(): string | undefined {
  return existsSync(join(FOLDER, 'moto'))
    ? undefined
    : 'needs moto: scripts/setup.sh neighbours installs it into .tools';
}

/** Environment in which `python3 -m moto.server` and `python3 -m awscli` are found. */
export const MOTO_ENVIRONMENT = { PYTHONPATH: FOLDER, PYTHONDONTWRITEBYTECODE: '1' };

/** Throws when it is missing or does not start. The caller must `close` it. */
export async function startMoto(): Promise<Moto> {
  const missing = missingMoto();
  if (missing !== undefined) throw new Error(missing);
  const port = await freePort();
  const child = spawn('python3', ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...MOTO_ENVIRONMENT },
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  });
  const endpoint = `http://127.0.0.1:${port}`;

  async function post(service: string, headers: Readonly<Record<string, string>>, body: string): Promise<string> {
    const scope = `Credential=AKIAADMIN/20260101/${MOTO_REGION}/${service}/aws4_request`;
    const answer = await fetch(endpoint, {
      method: 'POST',
      headers: { ...headers, authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0` },
      body,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`call moto: ${answer.status} ${text.slice(0, 300)}`);
    return text;
  }

  async function iam(action: string, input: Readonly<Record<string, string>>): Promise<string> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', host: 'iam.amazonaws.com' };
    return post('iam', headers, String(new URLSearchParams({ Action: action, Version: '2010-05-08', ...input })));
  }

  const moto: Moto = {
    endpoint,
    async call(action, input) {
      const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `ACMPrivateCA.${action}` };
      const text = await post('acm-pca', headers, JSON.stringify(input));
      return text === '' ? {} : JSON.parse(text);
    },
    async createCa() {
      const root = await createTestCa({ subject: 'O=Weft, CN=root', uriSans: [], to: 10 * 365 * 86_400_000 });
      const { CertificateAuthorityArn: arn } = await moto.call('CreateCertificateAuthority', {
        CertificateAuthorityType: 'SUBORDINATE',
        CertificateAuthorityConfiguration: {
          KeyAlgorithm: 'RSA_2048',
          SigningAlgorithm: 'SHA256WITHRSA',
          Subject: { Organization: 'Weft', CommonName: 'mesh' },
        },
      });
      const { Csr } = await moto.call('GetCertificateAuthorityCsr', { CertificateAuthorityArn: arn });
      const { publicKey } = await inspectCsr(parsePem(String(Csr))[0]!.der);
      const own = await createTestCa({
        subject: 'O=Weft, CN=mesh',
        uriSans: [],
        to: 5 * 365 * 86_400_000,
        issuer: root,
        keys: { ...generateEcKey(), publicKey },
      });
      await moto.call('ImportCertificateAuthorityCertificate', {
        CertificateAuthorityArn: arn,
        Certificate: Buffer.from(toPem('CERTIFICATE', own.der)).toString('base64'),
        CertificateChain: Buffer.from(root.pem).toString('base64'),
      });
      return { arn: String(arn), root };
    },
    async createUser(name, policy) {
      await iam('CreateUser', { UserName: name });
      if (policy !== undefined) await moto.setPolicy(name, policy);
      const made = await iam('CreateAccessKey', { UserName: name });
      const field = (tag: string) => new RegExp(`<${tag}>([^<]+)<`).exec(made)![1]!;
      return { accessKeyId: field('AccessKeyId'), secretAccessKey: field('SecretAccessKey') };
    },
    async setPolicy(user, policy) {
      await iam('PutUserPolicy', { UserName: user, PolicyName: 'weft', PolicyDocument: policy });
    },
    async enforceRights(on) {
      await fetch(`${endpoint}/moto-api/reset-auth`, { method: 'POST', body: on ? '0' : 'inf' });
    },
    async close() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) {
        await new Promise((resolve) => child.once('exit', resolve));
      }
    },
  };
  for (const end = Date.now() + 60_000; ; ) {
    if ((await fetch(`${endpoint}/moto-api/`).catch(() => undefined))?.ok) return moto;
    if (child.exitCode !== null || Date.now() > end) {
      await moto.close();
      throw new Error(`start moto: it does not answer: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('find a free port: the server has no address');
  return address.port;
}
