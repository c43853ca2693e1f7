import { describe, expect, it } from 'vitest';
import { endpointOf, leafTemplateOf, parseCaArn } from './arn.ts';

const ID = '12345678-1234-1234-1234-123456789012';
const arn = (partition: string, region: string) =>
  `arn:${partition}:acm-pca:${region}:123456789012:certificate-authority/${ID}`;

describe('the ARN of a CA', () => {
  it.each([
    ['aws', 'eu-west-1', 'https://acm-pca.eu-west-1.amazonaws.com'],
    ['aws-cn', 'cn-north-1', 'https://acm-pca.cn-north-1.amazonaws.com.cn'],
    ['aws-us-gov', 'us-gov-west-1', 'https://acm-pca.us-gov-west-1.amazonaws.com'],
    ['aws-eusc', 'eusc-de-east-1', 'https://acm-pca.eusc-de-east-1.amazonaws.eu'],
    ['aws-new', 'xx-north-1', undefined],
  ])('of partition %s says where it is called, and which template is its', (partition, region, endpoint) => {
    const parsed = parseCaArn(arn(partition, region));
    expect(parsed).toMatchObject({ partition, region });
    expect(endpointOf(parsed)).toBe(endpoint);
    expect(leafTemplateOf(parsed)).toBe(`arn:${partition}:acm-pca:::template/EndEntityCertificate/V1`);
  });

  it.each([
    ['ca-1', /has to be the ARN of a private CA, such as arn:aws:acm-pca:/],
    [arn('google', 'eu-west-1'), /partition/],
    [`arn:aws:acm:eu-west-1:123456789012:certificate/${ID}`, /is of service "acm", a private CA is of acm-pca/],
    [arn('aws', ''), /no region/],
    [`arn:aws:acm-pca:eu-west-1:12345:certificate-authority/${ID}`, /account/],
    ['arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/x', /the id of the CA/],
    [`${arn('aws', 'eu-west-1')}/certificate/abc`, /leave out what comes after its id/],
    [arn('aws', 'eu-west-1.evil.example/'), /no region/],
  ])('is not %s', (text, message) => {
    expect(() => parseCaArn(text)).toThrow(message);
  });
});
