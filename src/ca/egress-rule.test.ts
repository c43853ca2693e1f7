import { describe, expect, it } from 'vitest';
import { createEgressRule, parseAllowedEndpoint } from './egress-rule.ts';

describe('the egress rule', () => {
  const strict = createEgressRule([]);

  it.each([
    'http://169.254.169.254/latest/meta-data',
    'http://169.254.170.2',
    'https://127.0.0.1:8200',
    'https://127.8.9.1',
    'http://0x7f000001/',
    'http://2130706433/',
    'http://0.0.0.0:80',
    'http://[::1]:8200',
    'http://[::]',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::169.254.169.254]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[fe80::1]',
    'http://[fd00:ec2::254]',
    'http://[fd20:ce::254]',
    'http://168.63.129.16',
    'http://192.0.0.192',
    'http://100.100.100.200',
  ])('refuses %s and names the setting that allows it', (url) => {
    expect(strict.urlProblem(url)).toMatch(/weft\.ca\.allowedEndpoints/);
  });

  it.each([
    'file:///etc/passwd',
    'unix:/var/run/docker.sock',
    'ftp://vault.example.com',
    'gopher://vault.example.com',
    'data:,x',
  ])('refuses the scheme of %s', (url) => expect(strict.urlProblem(url)).toMatch(/which is not called/));

  it.each(['', 'vault', '//vault.example.com', '/var/run/vault.sock'])('says that %j is no URL', (url) => {
    expect(strict.urlProblem(url)).toMatch(/is not a URL/);
  });

  it('refuses a password in a URL', () => {
    expect(strict.urlProblem('https://user:word@vault.example.com')).toMatch(/user or password/);
  });

  it.each([
    'https://vault.example.com:8200',
    'https://10.1.2.3:8200',
    'https://[fd12:3456::1]:8200',
    'http://192.168.1.1',
    'https://localhost:8200',
  ])('has nothing against %s before it is looked up', (url) => expect(strict.urlProblem(url)).toBeUndefined());

  it('judges a name by the address it leads to', () => {
    expect(strict.addressProblem('vault.example.com', '10.0.0.7', 8200)).toBeUndefined();
    expect(strict.addressProblem('vault.example.com', '169.254.169.254', 80)).toMatch(
      /vault\.example\.com \(169\.254\.169\.254\) is a link-local or metadata address/,
    );
    expect(strict.addressProblem('localhost', '::1', 8200)).toMatch(/loopback/);
  });

  it.each([
    ['localhost', true],
    ['LOCALHOST', true],
    ['localhost:8200', true],
    ['localhost:8100', false],
    ['127.0.0.1', true],
    ['127.0.0.1:8200', true],
    ['127.0.0.1:443', false],
    ['127.0.0.0/8', true],
    ['10.0.0.0/8', false],
    ['vault.example.com', false],
  ])('with %s allowed, localhost:8200 at 127.0.0.1 is allowed: %s', (entry, isAllowed) => {
    const problem = createEgressRule([entry]).addressProblem('localhost', '127.0.0.1', 8200);
    expect(problem === undefined).toBe(isAllowed);
  });

  it('allows an IPv6 address with a port', () => {
    const rule = createEgressRule(['[::1]:8200']);
    expect(rule.urlProblem('https://[::1]:8200')).toBeUndefined();
    expect(rule.urlProblem('https://[::1]:8201')).toMatch(/loopback/);
  });

  it.each(['', 'http://vault', 'vault:0', 'vault:99999', 'a b', '10.0.0.0/33', '::1/129', '[vault]:80', '*', 'x/8'])(
    'does not read %j as an endpoint',
    (text) => expect(parseAllowedEndpoint(text)).toBeUndefined(),
  );
});
