/** What `auth/aws` wants to see. Source: Vault API, "AWS auth method", login. */
import { randomUUID } from 'node:crypto';
import { type AwsCredentialSource, signAwsRequest } from '../aws/sign.ts';
import { CaError } from '../backend.ts';
import { createEgress } from '../egress.ts';

/** Where a signature for STS is good, whatever the region; Vault's own default. */
const STS_URL = 'https://sts.amazonaws.com/';
const STS_REGION = 'us-east-1';
const STS_BODY = 'Action=GetCallerIdentity&Version=2011-06-15';

/** The instance metadata service: this program's own question, so no Mesh has a say in it. */
const METADATA_HOST = '169.254.169.254';

/** A signed question to STS "who am I", which Vault asks in our place: the AWS role, proven without a secret. `now` is epoch ms. */
export async function buildIamLogin(options: {
  role: string;
  iamServerIdHeader: string;
  credentials: AwsCredentialSource;
  now: number;
}): Promise<Readonly<Record<string, string>>> {
  const { role, iamServerIdHeader, now } = options;
  const headers = await signAwsRequest(
    {
      method: 'POST',
      url: new URL(STS_URL),
      headers: {
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        // Signed, so that a login captured elsewhere is no good here.
        ...(iamServerIdHeader !== '' && { 'x-vault-aws-iam-server-id': iamServerIdHeader }),
      },
      body: STS_BODY,
    },
    { service: 'sts', region: STS_REGION, credentials: await options.credentials(), now },
  );
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    ...(role !== '' && { role }),
    iam_http_request_method: 'POST',
    iam_request_url: base64(STS_URL),
    iam_request_body: base64(STS_BODY),
    iam_request_headers: base64(JSON.stringify(headers)),
  };
}

/** The identity document of this machine, signed by EC2. One instance keeps one nonce: Vault lets a machine log in again only with the first. */
export function createEc2Login(role: string, metadataHost = METADATA_HOST) {
  const nonce = randomUUID();
  return async (signal: AbortSignal): Promise<Readonly<Record<string, string>>> => {
    const client = createEgress({ allowedEndpoints: [metadataHost] }).createClient({ connections: 1 });
    const url = `http://${metadataHost}/latest`;
    try {
      const session = await client.send({
        method: 'PUT',
        url: `${url}/api/token`,
        headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' },
        signal,
      });
      const document = await client.send({
        method: 'GET',
        url: `${url}/dynamic/instance-identity/pkcs7`,
        headers: session.status === 200 ? { 'x-aws-ec2-metadata-token': String(session.body) } : {},
        signal,
      });
      if (document.status !== 200) throw new Error(`it answered with ${document.status}`);
      return { ...(role !== '' && { role }), pkcs7: String(document.body).replace(/\s+/g, ''), nonce };
    } catch (cause) {
      throw new CaError(
        'not-configured',
        'the instance metadata service did not give the identity of this machine; auth.aws.type EC2 needs an EC2 instance, use IAM elsewhere',
        { reason: 'NoInstanceIdentity', cause },
      );
    } finally {
      await client.close();
    }
  };
}
