import { describe, expect, it } from 'vitest';
import { signAwsRequest } from './sign.ts';

/** Source: AWS's Signature Version 4 test suite. */
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const options = { service: 'service', region: 'us-east-1', credentials, now: Date.parse('2015-08-30T12:36:00Z') };
const url = new URL('https://example.amazonaws.com/');

describe('signing for AWS', () => {
  it('signs the plain GET of the test suite as it says', async () => {
    expect(await signAwsRequest({ method: 'GET', url, headers: {}, body: '' }, options)).toEqual({
      host: 'example.amazonaws.com',
      'x-amz-date': '20150830T123600Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    });
  });

  it('signs a POST with a body as the test suite says', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const signed = await signAwsRequest({ method: 'POST', url, headers, body: 'Param1=value1' }, options);
    expect(signed['authorization']).toContain(
      'Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    );
  });

  it('sends the token of temporary credentials, signed', async () => {
    const temporary = { ...options, credentials: { ...credentials, sessionToken: 'session' } };
    const signed = await signAwsRequest({ method: 'POST', url, headers: {}, body: '{}' }, temporary);
    expect(signed['x-amz-security-token']).toBe('session');
    expect(signed['authorization']).toContain('SignedHeaders=host;x-amz-date;x-amz-security-token,');
  });

  it('keeps the port of an endpoint that has one', async () => {
    const own = new URL('http://127.0.0.1:4566/');
    expect((await signAwsRequest({ method: 'POST', url: own, headers: {}, body: '' }, options))['host']).toBe(
      '127.0.0.1:4566',
    );
  });
});
