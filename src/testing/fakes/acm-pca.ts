import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signAwsRequest } from '../../ca/aws/sign.ts';
import { waitFor } from '../../lib/wait.ts';
import { readNode } from '../../x509/certificate.ts';
import { inspectCsr } from '../../x509/csr.ts';
import { generateEcKey } from '../../x509/key.ts';
import { parsePem } from '../../x509/pem.ts';
import type { AnswerParts, SignAnswer } from '../bad-answers.ts';
import { createTestCa, createTestLeaf, type TestCertificate } from '../certificates.ts';

/** What the fake answers instead of doing what it is asked. Without `body`: the connection is dropped. */
export interface FakeAnswer {
  readonly status: number;
  readonly body?: string | object;
  readonly delayMs?: number;
}

/** An error as AWS words it. */
export function awsFailure(type: string, message = 'as the test wants it', status = 400): FakeAnswer {
  return { status, body: { __type: `com.amazonaws.acmpca#${type}`, message } };
}

/** Certificate and chain of GetCertificate, as the fake would answer. */
export type FakeIssuance = (parts: AnswerParts, chain: string) => Promise<FakeIssued>;

interface FakeIssued {
  readonly Certificate: string;
  readonly CertificateChain?: string;
}

/**
 * AWS Private CA as far as it is used, with what moto gets wrong: validity, signing algorithm, idempotency, certificates that take their time, quotas a
 * second, short-lived mode, signatures of requests. Alone, or in front of a moto that keeps the CA and names the certificates.
 */
export interface FakeAcmPca {
  readonly endpoint: string;
  readonly arn: string;
  /** What leaves are signed with. */
  ca: TestCertificate;
  /** PEM of what is above `ca`. */
  chain: string;
  status: string;
  usageMode: string;
  keyAlgorithm: string;
  /** So often GetCertificate says that it is in progress. */
  inProgress: number;
  /** Calls a second; absent: no limit. */
  quota: { readonly issue: number; readonly fetch: number } | undefined;
  /** A call of somebody else who shares the quota. */
  takeIssue(): void;
  /** The call is done, and its answer does not arrive. */
  loses: (action: string) => boolean;
  /** Asked before everything else. */
  intercept: (action: string, input: Readonly<Record<string, unknown>>) => FakeAnswer | undefined;
  issuance: FakeIssuance;
  /** Calls by action, refused ones too. */
  readonly calls: ReadonlyMap<string, number>;
  /** Certificates made, which AWS would bill. */
  readonly paid: number;
  /** Inputs of IssueCertificate that were accepted. */
  readonly issued: readonly Readonly<Record<string, unknown>>[];
  /** Nothing listens at the endpoint, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export const FAKE_CREDENTIALS = {
  accessKeyId: 'AKIAFAKEFAKEFAKEFAKE',
  secretAccessKey: 'fake/secret/access/key/of/40/characters',
};

const REGION = 'eu-west-1';
const TOKEN_MS = 300_000;
const SHORT_LIVED_SECONDS = 7 * 86_400;

interface Made {
  readonly csr: Buffer;
  readonly input: Readonly<Record<string, unknown>>;
  asked: number;
  answer: Promise<object> | undefined;
}

class Refusal extends Error {
  readonly answer: FakeAnswer;
  constructor(type: string, message: string) {
    super(type);
    this.answer = awsFailure(type, message);
  }
}

export async function startFakeAcmPca(
  options: { upstream?: string; lifetimeMs?: number; rsa?: boolean } = {},
): Promise<FakeAcmPca> {
  const { upstream, lifetimeMs = 365 * 86_400_000, rsa = false } = options;
  const bits = rsa ? { rsaBits: 2048 } : {};
  const root = await createTestCa({ subject: 'O=Weft, CN=root', uriSans: [], to: 2 * lifetimeMs });
  const ca = await createTestCa({ subject: 'O=Weft, CN=mesh', uriSans: [], to: lifetimeMs, issuer: root, ...bits });
  const calls = new Map<string, number>();
  const made = new Map<string, Made>();
  const tokens = new Map<string, { readonly arn: string; readonly at: number }>();
  const issued: Readonly<Record<string, unknown>>[] = [];
  const buckets = { issue: createBucket(), fetch: createBucket() };
  const id = '00000000-0000-0000-0000-00000000000a';
  const server: Server = createServer((request, response) => void answer(request, response));
  const closing = new AbortController();
  const listen = (at: number) => new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;

  const fake = {
    endpoint: `http://127.0.0.1:${port}`,
    arn:
      upstream === undefined
        ? `arn:aws:acm-pca:${REGION}:123456789012:certificate-authority/${id}`
        : await createUpstreamCa(upstream, ca.pem, root.pem),
    ca,
    chain: root.pem,
    status: 'ACTIVE',
    usageMode: 'GENERAL_PURPOSE',
    keyAlgorithm: rsa ? 'RSA_2048' : 'EC_prime256v1',
    inProgress: 0,
    quota: undefined as FakeAcmPca['quota'],
    loses: (() => false) as FakeAcmPca['loses'],
    takeIssue() {
      if (fake.quota !== undefined) buckets.issue(fake.quota.issue);
    },
    intercept: (() => undefined) as FakeAcmPca['intercept'],
    issuance: (async ({ sign }, chain) => ({
      Certificate: (await sign()).pem.trimEnd(),
      CertificateChain: chain.trimEnd(),
    })) as FakeIssuance,
    calls,
    get paid() {
      return made.size;
    },
    issued,
    async stop() {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
    async start() {
      if (!server.listening) await listen(port);
    },
    async close() {
      closing.abort();
      await fake.stop();
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const action = String(request.headers['x-amz-target']).replace('ACMPrivateCA.', '');
    calls.set(action, (calls.get(action) ?? 0) + 1);
    const body = await textOf(request);
    const input = JSON.parse(body) as Readonly<Record<string, unknown>>;
    let result: FakeAnswer;
    try {
      result = fake.intercept(action, input) ?? (await act(action, input, request, body));
    } catch (error) {
      result = error instanceof Refusal ? error.answer : { status: 500, body: { message: String(error) } };
    }
    if (result.delayMs !== undefined) await waitFor(result.delayMs, closing.signal);
    if (result.body === undefined || fake.loses(action)) {
      request.socket.destroy();
      return;
    }
    response.writeHead(result.status, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(typeof result.body === 'string' ? result.body : JSON.stringify(result.body));
  }

  async function act(
    action: string,
    input: Readonly<Record<string, unknown>>,
    request: IncomingMessage,
    body: string,
  ): Promise<FakeAnswer> {
    await checkSignature(request, body);
    if (input['CertificateAuthorityArn'] !== fake.arn) {
      throw new Refusal('ResourceNotFoundException', `Could not find Certificate Authority`);
    }
    switch (action) {
      case 'DescribeCertificateAuthority':
        return { status: 200, body: { CertificateAuthority: describe() } };
      case 'GetCertificateAuthorityCertificate':
        requireActive();
        return { status: 200, body: { Certificate: fake.ca.pem.trimEnd(), CertificateChain: fake.chain.trimEnd() } };
      case 'IssueCertificate':
        return { status: 200, body: { CertificateArn: await issue(input, body) } };
      case 'GetCertificate':
        return { status: 200, body: await fetchCertificate(input, body) };
      default:
        throw new Refusal('UnknownOperationException', action);
    }
  }

  function describe(): object {
    return {
      Arn: fake.arn,
      Status: fake.status,
      UsageMode: fake.usageMode,
      CertificateAuthorityConfiguration: {
        KeyAlgorithm: fake.keyAlgorithm,
        SigningAlgorithm: rsa ? 'SHA256WITHRSA' : 'SHA256WITHECDSA',
      },
    };
  }

  function requireActive(): void {
    if (fake.status !== 'ACTIVE') throw new Refusal('InvalidStateException', `The CA is ${fake.status}`);
  }

  async function issue(input: Readonly<Record<string, unknown>>, body: string): Promise<string> {
    take('issue');
    requireActive();
    const {
      Csr,
      IdempotencyToken: token,
      Validity,
      SigningAlgorithm,
    } = input as Readonly<Record<string, string>> & {
      Validity: { Type: string; Value: number };
    };
    const { IdempotencyToken: _token, ...question } = input;
    const key = `${token}${JSON.stringify(question)}`;
    const known = token === undefined ? undefined : tokens.get(key);
    if (known !== undefined && Date.now() - known.at < TOKEN_MS) return known.arn;
    const [block] = parsePem(Buffer.from(Csr!, 'base64').toString('utf8'));
    if (block === undefined || !(await inspectCsr(block.der)).valid) {
      throw new Refusal('MalformedCSRException', 'The CSR is malformed');
    }
    if (Validity?.Type !== 'ABSOLUTE') throw new Refusal('InvalidArgsException', 'the fake takes ABSOLUTE only');
    checkValidity(Validity.Value);
    const family = fake.keyAlgorithm.startsWith('RSA') ? 'RSA' : 'ECDSA';
    if (!SigningAlgorithm?.endsWith(`WITH${family}`)) {
      throw new Refusal('InvalidArgsException', `The signing algorithm must be of the family ${family}`);
    }
    const arn =
      upstream === undefined
        ? `${fake.arn}/certificate/${(made.size + 1).toString(16).padStart(32, '0')}`
        : String((await forward(upstream, 'IssueCertificate', body)).CertificateArn);
    tokens.set(key, { arn, at: Date.now() });
    made.set(arn, { csr: block.der, input, asked: 0, answer: undefined });
    issued.push(input);
    return arn;
  }

  function checkValidity(notAfter: number): void {
    const end = Math.floor(Date.now() / 1000);
    if (fake.usageMode === 'SHORT_LIVED_CERTIFICATE' && notAfter > end + SHORT_LIVED_SECONDS) {
      throw new Refusal('InvalidArgsException', 'The validity must be 7 days or less');
    }
    if (notAfter * 1000 > readNode(fake.ca.der).validToDate.getTime()) {
      throw new Refusal('ValidationException', 'The validity exceeds the certificate authority validity');
    }
  }

  async function fetchCertificate(input: Readonly<Record<string, unknown>>, body: string): Promise<object> {
    take('fetch');
    const one = made.get(String(input['CertificateArn']));
    if (one === undefined) throw new Refusal('ResourceNotFoundException', 'Could not find the certificate');
    one.asked += 1;
    if (one.asked <= fake.inProgress) throw new Refusal('RequestInProgressException', 'The request is in progress');
    if (upstream !== undefined) await forward(upstream, 'GetCertificate', body);
    one.answer ??= sign(one);
    return one.answer;
  }

  async function sign({ csr, input }: Made): Promise<object> {
    const { uriSans, publicKey, subject } = await inspectCsr(csr);
    const seconds = (name: string) => (input[name] as { Value: number }).Value * 1000 - Date.now();
    const leaf: SignAnswer = (change = {}, issuer = fake.ca) =>
      createTestLeaf(issuer, {
        subject,
        uriSans,
        // Without it the beginning is an hour back.
        from: input['ValidityNotBefore'] === undefined ? -3_600_000 : seconds('ValidityNotBefore'),
        to: seconds('Validity'),
        keys: { ...generateEcKey(), publicKey },
        ...change,
      });
    return fake.issuance({ uriSans, sign: leaf, ca: fake.ca }, fake.ca.pem + fake.chain);
  }

  function take(kind: 'issue' | 'fetch'): void {
    if (fake.quota === undefined || buckets[kind](fake.quota[kind])) return;
    throw new Refusal('ThrottlingException', 'Rate exceeded');
  }

  return fake;
}

/** True when one more call is within `perSecond`; a tenth of a second's worth may come at once. */
function createBucket(): (perSecond: number) => boolean {
  let tokens = Number.POSITIVE_INFINITY;
  let last = performance.now();
  return (perSecond) => {
    const now = performance.now();
    tokens = Math.min(Math.max(1, perSecond / 10), tokens + ((now - last) * perSecond) / 1000);
    last = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}

/** As AWS does: the same signature must come out of the same request with the secret of its access key. */
async function checkSignature(request: IncomingMessage, body: string): Promise<void> {
  const { authorization = '', 'x-forwarded-host': asked = request.headers.host } = request.headers;
  const [, key = '', region = '', service = '', names = ''] =
    /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+),/.exec(authorization) ?? [];
  if (key !== FAKE_CREDENTIALS.accessKeyId) {
    throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  if (region !== REGION || service !== 'acm-pca') throw new Refusal('InvalidSignatureException', 'wrong scope');
  const date = String(request.headers['x-amz-date']);
  const now = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Math.abs(now - Date.now()) > 300_000) throw new Refusal('InvalidSignatureException', 'Signature expired');
  const sent = names.split(';').filter((name) => name !== 'host' && name !== 'x-amz-date');
  const signed = await signAwsRequest(
    {
      method: 'POST',
      url: new URL(`http://${asked}${request.url}`),
      headers: Object.fromEntries(sent.map((name) => [name, String(request.headers[name])])),
      body,
    },
    { service, region, credentials: FAKE_CREDENTIALS, now },
  );
  if (signed['authorization'] !== authorization) {
    throw new Refusal('InvalidSignatureException', 'The request signature we calculated does not match');
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request.setEncoding('utf8')) text += part;
  return text;
}

async function createUpstreamCa(upstream: string, certificate: string, chain: string): Promise<string> {
  const configuration = {
    KeyAlgorithm: 'RSA_2048',
    SigningAlgorithm: 'SHA256WITHRSA',
    Subject: { CommonName: 'mesh' },
  };
  const { CertificateAuthorityArn: arn } = await forward(
    upstream,
    'CreateCertificateAuthority',
    JSON.stringify({ CertificateAuthorityType: 'SUBORDINATE', CertificateAuthorityConfiguration: configuration }),
  );
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  await forward(
    upstream,
    'ImportCertificateAuthorityCertificate',
    JSON.stringify({ CertificateAuthorityArn: arn, Certificate: base64(certificate), CertificateChain: base64(chain) }),
  );
  return String(arn);
}

/** moto looks at the scope of a signature only. */
async function forward(upstream: string, action: string, body: string): Promise<Readonly<Record<string, unknown>>> {
  const answer = await fetch(upstream, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `ACMPrivateCA.${action}`,
      authorization: `AWS4-HMAC-SHA256 Credential=${FAKE_CREDENTIALS.accessKeyId}/20260101/${REGION}/acm-pca/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Refusal('InternalFailure', `moto: ${text.slice(0, 300)}`);
  return text === '' ? {} : (JSON.parse(text) as Readonly<Record<string, unknown>>);
}
