import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { buildIamLogin, createEc2Login } from './aws-login.ts';

const text = (base64: string | undefined) => Buffer.from(base64 ?? '', 'base64').toString();

describe('a login to auth/aws', () => {
  it('as IAM is a question to STS that only its signer could have signed, for this Vault only', async () => {
    const credentials = async () => ({
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'canary',
      sessionToken: 'session',
    });
    const options = { role: 'weft', iamServerIdHeader: 'vault.example.com', credentials };
    const login = await buildIamLogin({ ...options, now: Date.parse('2026-01-01T00:00:00Z') });
    expect(login['role']).toBe('weft');
    expect(login['iam_http_request_method']).toBe('POST');
    expect(text(login['iam_request_url'])).toBe('https://sts.amazonaws.com/');
    expect(text(login['iam_request_body'])).toBe('Action=GetCallerIdentity&Version=2011-06-15');
    const headers = JSON.parse(text(login['iam_request_headers']));
    expect(headers).toMatchObject({
      host: 'sts.amazonaws.com',
      'x-amz-date': '20260101T000000Z',
      'x-amz-security-token': 'session',
      'x-vault-aws-iam-server-id': 'vault.example.com',
    });
    expect(headers.authorization).toMatch(
      /Credential=AKIDEXAMPLE\/20260101\/us-east-1\/sts\/aws4_request, SignedHeaders=[^,]*x-vault-aws-iam-server-id/,
    );
    expect(JSON.stringify([login, headers])).not.toContain('canary');
  });

  it('as EC2 is the signed identity document of the machine, with one nonce', async () => {
    const asked: string[] = [];
    const metadata = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const token = request.headers['x-aws-ec2-metadata-token'];
      if (request.method === 'PUT') response.end('metadata-token');
      else if (token !== 'metadata-token') response.writeHead(401).end();
      else response.end('MIA\nGCS\n');
    });
    await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(metadata.address() as AddressInfo).port}`;
    try {
      const login = createEc2Login('', host);
      const first = await login(AbortSignal.timeout(10_000));
      expect(first).toEqual({ pkcs7: 'MIAGCS', nonce: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      expect(await login(AbortSignal.timeout(10_000))).toEqual(first);
      expect(asked.slice(0, 2)).toEqual(['PUT /latest/api/token', 'GET /latest/dynamic/instance-identity/pkcs7']);
    } finally {
      metadata.close();
      metadata.closeAllConnections();
    }
    await expect(createEc2Login('', host)(AbortSignal.timeout(10_000))).rejects.toMatchObject({
      reason: 'NoInstanceIdentity',
    });
  });
});
