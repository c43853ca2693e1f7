import { describe, expect, it } from 'vitest';
import type { Violation } from '../../resources/resource.ts';
import { createEgress } from '../egress.ts';
import { readVaultConf, secretsOf } from './conf.ts';

const egress = createEgress({ allowedEndpoints: ['127.0.0.1:8100'] });

/** The example of Kong Mesh's page "HashiCorp Vault CA", with one way to log in. */
const PAGE = {
  address: 'https://vault.example.com:8200',
  agentAddress: '',
  namespace: '',
  pki: 'kmesh-pki-default',
  role: 'dataplane-proxies',
  commonName: '{{ tag "kuma.io/service" }}.mesh',
  tls: { skipVerify: false, caCert: { secret: 'sec-1' }, serverName: '' },
  auth: { token: { secret: 'token-1' } },
};

function read(fromCp: unknown, more: object = {}) {
  const violations: Violation[] = [];
  const conf = readVaultConf({ fromCp, ...more }, 'conf', egress.urlProblem, violations);
  return { conf, violations };
}
const fieldsOf = (change: object) => read({ ...PAGE, ...change }).violations.map(({ field }) => field);

describe('conf of a vault backend', () => {
  it('reads the example of the page', () => {
    const { conf, violations } = read(PAGE);
    expect(violations).toEqual([]);
    expect(conf).toMatchObject({
      address: 'https://vault.example.com:8200',
      namespace: '',
      pki: 'kmesh-pki-default',
      role: 'dataplane-proxies',
      tls: { caCert: { secret: 'sec-1' }, skipVerify: false, serverName: '' },
      auth: { kind: 'token', token: { secret: 'token-1' } },
      leafKeyType: 'ec-p256',
    });
    expect(conf.commonName?.render(new Map([['kuma.io/service', 'web']]))).toBe('web.mesh');
    expect(secretsOf({ fromCp: PAGE })).toEqual(['sec-1', 'token-1']);
  });

  it('goes by the agent where there is one, which needs no login', () => {
    const { auth: _auth, ...rest } = PAGE;
    const { conf, violations } = read({ ...rest, agentAddress: 'http://127.0.0.1:8100/' });
    expect(violations).toEqual([]);
    expect(conf).toMatchObject({ address: 'http://127.0.0.1:8100', auth: { kind: 'agent' } });
  });

  it('takes slashes off the paths', () => {
    expect(read({ ...PAGE, pki: '/team/pki/', namespace: '/a/b/', address: 'https://v:8200//' }).conf).toMatchObject({
      pki: 'team/pki',
      namespace: 'a/b',
      address: 'https://v:8200',
    });
  });

  it.each([
    ['tls', { clientCert: { secret: 'c' }, clientKey: { secret: 'k' } }, { kind: 'tls', mountPath: 'cert' }],
    ['aws', {}, { kind: 'aws', type: 'IAM', role: '', iamServerIdHeader: '', mountPath: 'aws' }],
    ['aws', { type: 'EC2', role: 'r', iamServerIdHeader: 'h' }, { kind: 'aws', type: 'EC2', role: 'r' }],
    [
      'kubernetes',
      { role: 'weft' },
      { kind: 'kubernetes', tokenPath: '/var/run/secrets/kubernetes.io/serviceaccount/token', mountPath: 'kubernetes' },
    ],
    [
      'appRole',
      { roleId: { inlineString: 'a' }, secretId: { secret: 'b' }, mountPath: 'auth-2' },
      { kind: 'appRole', mountPath: 'auth-2' },
    ],
  ])('reads the login %s %j', (method, given, expected) => {
    const { conf, violations } = read({ ...PAGE, auth: { [method]: given } });
    expect(violations).toEqual([]);
    expect(conf.auth).toMatchObject(expected);
  });

  it.each([
    [{ address: '' }, ['conf.fromCp.address']],
    [{ address: 'file:///etc/passwd' }, ['conf.fromCp.address']],
    [{ address: 'unix:///run/vault.sock' }, ['conf.fromCp.address']],
    [{ address: 'http://169.254.169.254' }, ['conf.fromCp.address']],
    [{ agentAddress: 'http://127.0.0.1:8200' }, ['conf.fromCp.agentAddress']],
    [{ address: 7 }, ['conf.fromCp.address', 'conf.fromCp.address']],
    [{ pki: '' }, ['conf.fromCp.pki']],
    [{ pki: '../sys' }, ['conf.fromCp.pki']],
    [{ pki: 'a?b' }, ['conf.fromCp.pki']],
    [{ role: null }, ['conf.fromCp.role']],
    [{ role: 'a/../b' }, ['conf.fromCp.role', 'conf.fromCp.role']],
    [{ commonName: '{{ nope }}' }, ['conf.fromCp.commonName']],
    [{ tls: { caCert: {} } }, ['conf.fromCp.tls.caCert']],
    [{ tls: { cacert: { secret: 'x' } } }, ['conf.fromCp.tls.cacert']],
    [{ tls: { skipVerify: 'yes' } }, ['conf.fromCp.tls.skipVerify']],
    [{ tls: [] }, ['conf.fromCp.tls']],
    [{ auth: {} }, ['conf.fromCp.auth']],
    [{ auth: { token: { secret: 'a' }, aws: {} } }, ['conf.fromCp.auth']],
    [{ auth: { token: { secret: 'a', file: 'b' } } }, ['conf.fromCp.auth.token']],
    [{ auth: { tls: { clientCert: { secret: 'c' } } } }, ['conf.fromCp.auth.tls.clientKey']],
    [{ auth: { aws: { type: 'LAMBDA' } } }, ['conf.fromCp.auth.aws.type']],
    [{ auth: { kubernetes: {} } }, ['conf.fromCp.auth.kubernetes.role']],
    [{ auth: { appRole: {} } }, ['conf.fromCp.auth.appRole.roleId', 'conf.fromCp.auth.appRole.secretId']],
    [
      { auth: { appRole: { roleId: { secret: 'a' }, secretId: { secret: 'b' }, mountPath: '../x' } } },
      ['conf.fromCp.auth.appRole.mountPath'],
    ],
    [{ namespce: 'team' }, ['conf.fromCp.namespce']],
  ])('refuses %j at its field', (change, fields) => expect(fieldsOf(change)).toEqual(fields));

  it('says once that there is no fromCp', () => {
    expect(read(undefined).violations).toEqual([{ field: 'conf.fromCp', message: 'has to be defined' }]);
    expect(read('x').violations).toHaveLength(1);
    expect(read(PAGE, { leafKeyType: 'dsa' }).violations.map(({ field }) => field)).toEqual(['conf.leafKeyType']);
  });
});
