import { z } from 'zod';
import { hideSecrets } from '../../lib/hide-secrets.ts';
import { type AwsCredentialSource, signAwsRequest } from '../aws/sign.ts';
import type { EgressClient } from '../egress.ts';
import { type CaArn, leafTemplateOf } from './arn.ts';
import type { AuthorityDescription, IssuedPem } from './authority.ts';
import { csrText, idempotencyToken, type Order } from './order.ts';

/** AWS answered with an error, or with something that is no answer of its API. */
export class AwsError extends Error {
  /** `ThrottlingException` and so on, without a namespace; `NoAnswer` for what is none. */
  readonly type: string;
  readonly status: number;
  constructor(type: string, status: number, message: string) {
    super(message);
    this.name = 'AwsError';
    this.type = type;
    this.status = status;
  }
}

/** The calls of AWS Private CA that are needed, one HTTP request each. They throw `AwsError`, and `CaError` when there is no answer at all. */
export interface AcmPcaApi {
  describe(signal: AbortSignal): Promise<AuthorityDescription>;
  authorityCertificate(signal: AbortSignal): Promise<IssuedPem>;
  /** The ARN of the certificate. */
  issue(order: Order, signal: AbortSignal): Promise<string>;
  /** `undefined`: AWS is still at it. */
  certificate(certificateArn: string, signal: AbortSignal): Promise<IssuedPem | undefined>;
}

const LONGEST_MESSAGE = 300;
const text = z.string();
const ISSUED = z.object({ Certificate: text, CertificateChain: text.nullish() });
const PLACED = z.object({ CertificateArn: text });
const DESCRIBED = z.object({
  CertificateAuthority: z.object({
    Status: text,
    UsageMode: text.nullish(),
    CertificateAuthorityConfiguration: z.object({ KeyAlgorithm: text, SigningAlgorithm: text }),
  }),
});

/** Source: AWS Private CA API reference 2017-08-22, over JSON 1.1. */
export function createAcmPcaApi(options: {
  arn: CaArn;
  endpoint: string;
  client: EgressClient;
  credentials: AwsCredentialSource;
  now: () => number;
}): AcmPcaApi {
  const { arn, client } = options;
  const url = new URL(options.endpoint);
  const authority = { CertificateAuthorityArn: arn.text };

  async function call<T>(action: string, input: object, output: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const body = JSON.stringify({ ...authority, ...input });
    const credentials = await options.credentials();
    const headers = await signAwsRequest(
      {
        method: 'POST',
        url,
        headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `ACMPrivateCA.${action}` },
        body,
      },
      { service: 'acm-pca', region: arn.region, credentials, now: options.now() },
    );
    const answer = await client.send({ method: 'POST', url: url.href, headers, body, signal });
    const json = parseJson(answer.body);
    if (answer.status !== 200) {
      const { accessKeyId, secretAccessKey, sessionToken = '' } = credentials;
      const hide = (text: string) => hideSecrets(text, [accessKeyId, secretAccessKey, sessionToken]);
      throw errorOf(json ?? readXml(answer.body), answer.status, answer.headers['x-amzn-errortype'], hide);
    }
    const parsed = output.safeParse(json);
    if (!parsed.success) throw new AwsError('NoAnswer', 200, `an answer to ${action} that is none of AWS Private CA`);
    return parsed.data;
  }

  const issued = async (action: string, input: object, signal: AbortSignal): Promise<IssuedPem> => {
    const { Certificate, CertificateChain } = await call(action, input, ISSUED, signal);
    return { certificate: Certificate, chain: CertificateChain ?? '' };
  };

  return {
    async describe(signal) {
      const { CertificateAuthority: found } = await call('DescribeCertificateAuthority', {}, DESCRIBED, signal);
      return {
        status: found.Status,
        keyAlgorithm: found.CertificateAuthorityConfiguration.KeyAlgorithm,
        signingAlgorithm: found.CertificateAuthorityConfiguration.SigningAlgorithm,
        usageMode: found.UsageMode ?? 'GENERAL_PURPOSE',
      };
    },
    authorityCertificate: (signal) => issued('GetCertificateAuthorityCertificate', {}, signal),
    async issue(order, signal) {
      const input = {
        Csr: Buffer.from(csrText(order)).toString('base64'),
        SigningAlgorithm: order.signingAlgorithm,
        TemplateArn: leafTemplateOf(arn),
        Validity: { Type: 'ABSOLUTE', Value: order.notAfter },
        ValidityNotBefore: { Type: 'ABSOLUTE', Value: order.notBefore },
        IdempotencyToken: idempotencyToken(order),
      };
      return (await call('IssueCertificate', input, PLACED, signal)).CertificateArn;
    },
    async certificate(certificateArn, signal) {
      try {
        return await issued('GetCertificate', { CertificateArn: certificateArn }, signal);
      } catch (error) {
        if (error instanceof AwsError && error.type === 'RequestInProgressException') return undefined;
        throw error;
      }
    },
  };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** What stands in front of a service may refuse in XML, whatever the service speaks. */
function readXml(body: Buffer): object {
  const text = body.subarray(0, 4096).toString('utf8');
  const [, code] = /<Code>([A-Za-z.]+)<\/Code>/.exec(text) ?? [];
  const [, message] = /<Message>([^<]*)<\/Message>/.exec(text) ?? [];
  return { code, message };
}

/** Source: AWS JSON protocols, "operation error serialization": the type is in the body or in a header, with a namespace or without. `hide` takes out what is secret. */
function errorOf(
  json: unknown,
  status: number,
  header: string | readonly string[] | undefined,
  hide: (text: string) => string,
): AwsError {
  const fields = typeof json === 'object' && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
  const found = [fields['__type'], fields['code'], header].find((one) => typeof one === 'string') as string | undefined;
  const type = found?.split('#').at(-1)?.split(':')[0]?.slice(0, 100);
  const said = [fields['message'], fields['Message']].find((one) => typeof one === 'string') as string | undefined;
  const message = hide(said ?? '')
    .replace(/\s+/g, ' ')
    .trim();
  return new AwsError(type || 'NoAnswer', status, message.slice(0, LONGEST_MESSAGE));
}
