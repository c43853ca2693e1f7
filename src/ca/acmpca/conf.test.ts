import { describe, expect, it } from 'vitest';
import type { Violation } from '../../resources/resource.ts';
import { createEgress } from '../egress.ts';
import { readAcmPcaConf, secretsOf } from './conf.ts';

const ARN = 'arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/12345678-1234-1234-1234-123456789012';
const egress = createEgress({ allowedEndpoints: ['127.0.0.1:5000'] });

function read(conf: object) {
  const violations: Violation[] = [];
  return { conf: readAcmPcaConf({ ...conf }, 'conf', violations, egress), violations };
}

describe('conf of acmpca', () => {
  it('is an ARN; the rest has defaults', () => {
    expect(read({ arn: ARN })).toMatchObject({
      violations: [],
      conf: { arn: { region: 'eu-west-1' }, endpoint: 'https://acm-pca.eu-west-1.amazonaws.com' },
    });
  });

  it('takes all fields of Kong Mesh, and ours', () => {
    const all = {
      arn: ARN,
      commonName: '{{ tag "kuma.io/service" }}.mesh',
      caCert: { secret: 'ca' },
      auth: { awsCredentials: { accessKey: { secret: 'key' }, accessKeySecret: { secret: 'secret' } } },
      endpoint: 'http://127.0.0.1:5000/',
      signingAlgorithm: 'SHA512WITHRSA',
    };
    expect(read(all)).toMatchObject({
      violations: [],
      conf: { endpoint: 'http://127.0.0.1:5000', signingAlgorithm: 'SHA512WITHRSA', caCert: { secret: 'ca' } },
    });
    expect(secretsOf(all)).toEqual(['ca', 'key', 'secret']);
  });

  it.each([
    [{}, 'conf.arn', /has to be defined/],
    [{ arn: 5 }, 'conf.arn', /has to be a string/],
    [{ arn: 'x' }, 'conf.arn', /has to be the ARN/],
    [{ arn: ARN, caCrt: {} }, 'conf.caCrt', /use "caCert"/],
    [{ arn: ARN, caCert: {} }, 'conf.caCert', /data source has to be chosen/],
    [{ arn: ARN, commonName: '{{ tagg "a" }}' }, 'conf.commonName', /not a valid template/],
    [{ arn: ARN, auth: 'iam' }, 'conf', /auth has to be an object/],
    [{ arn: ARN, auth: { awsCredential: {} } }, 'conf.auth.awsCredential', /use "awsCredentials"/],
    [
      { arn: ARN, auth: { awsCredentials: { accessKey: { inlineString: 'a' } } } },
      'conf.auth.awsCredentials.accessKeySecret',
      /has to be defined/,
    ],
    [
      { arn: ARN, auth: { awsCredentials: { accessKey: {}, accessKeySecret: { secret: 'a' } } } },
      'conf.auth.awsCredentials.accessKey',
      /data source has to be chosen/,
    ],
    [{ arn: ARN, signingAlgorithm: 'MD5' }, 'conf.signingAlgorithm', /has to be one of: SHA256WITHRSA/],
    [{ arn: ARN, endpoint: 'http://169.254.169.254' }, 'conf.endpoint', /metadata address/],
    [{ arn: ARN, endpoint: 'http://127.0.0.1:6000' }, 'conf.endpoint', /allowedEndpoints/],
    [{ arn: ARN, endpoint: 'file:///etc/passwd' }, 'conf.endpoint', /scheme file/],
    [{ arn: ARN, endpoint: 'https://a.example/path' }, 'conf.endpoint', /something after the host/],
    [{ arn: ARN.replace('arn:aws:', 'arn:aws-new:') }, 'conf.endpoint', /has to be defined/],
  ])('%j is refused at %s', (conf, field, message) => {
    const { violations, conf: nothing } = read(conf);
    expect(violations).toEqual([{ field, message: expect.stringMatching(message) }]);
    expect(nothing).toBeUndefined();
  });
});
