import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';

/** What signs a request. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
}

/** Fresh credentials each time they are asked for; who gives them keeps and renews them. Throws `CaError`. */
export type AwsCredentialSource = () => Promise<AwsCredentials>;

/** One call, with everything that is signed. */
export interface AwsRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The headers of `request`, signed with Signature Version 4: those given, and `host`, `x-amz-date`, `authorization`, with temporary credentials
 * `x-amz-security-token`. `now` is epoch ms.
 */
export async function signAwsRequest(
  request: AwsRequest,
  options: { service: string; region: string; credentials: AwsCredentials; now: number },
): Promise<Readonly<Record<string, string>>> {
  const { SignatureV4 } = await import('@smithy/signature-v4');
  const { url, method, body } = request;
  const { accessKeyId, secretAccessKey, sessionToken } = options.credentials;
  const signer = new SignatureV4({
    service: options.service,
    region: options.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    sha256: Sha256,
    // The hash of the body is in the signature; only S3 wants it as a header too.
    applyChecksum: false,
  });
  const signed = await signer.sign(
    {
      method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { ...request.headers, host: url.host },
      body,
    },
    { signingDate: new Date(options.now) },
  );
  return signed.headers;
}

/** SHA-256, or HMAC-SHA-256 when it gets a secret, as `@smithy/signature-v4` wants it. */
class Sha256 {
  private state: Hash | Hmac;
  private readonly begin: () => Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const key = secret === undefined ? undefined : toBuffer(secret);
    this.begin = () => (key === undefined ? createHash('sha256') : createHmac('sha256', key));
    this.state = this.begin();
  }
  update(chunk: string | ArrayBuffer | ArrayBufferView): void {
    this.state.update(toBuffer(chunk));
  }
  async digest(): Promise<Uint8Array> {
    return this.state.digest();
  }
  reset(): void {
    this.state = this.begin();
  }
}

function toBuffer(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data, 'utf8');
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}
