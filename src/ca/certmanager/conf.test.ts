import { describe, expect, it } from 'vitest';
import type { Violation } from '../../resources/resource.ts';
import { readCertManagerConf } from './conf.ts';

const path = 'mtls.backends[0].conf';
function violationsOf(conf: Record<string, unknown>): [string, string][] {
  const violations: Violation[] = [];
  readCertManagerConf(conf, path, violations);
  return violations.map(({ field, message }) => [field.replace(`${path}.`, ''), message]);
}

describe('conf of certmanager', () => {
  it('needs the name only; kind and group have cert-manager’s defaults', () => {
    const violations: Violation[] = [];
    const conf = readCertManagerConf({ issuerRef: { name: 'my-ca-issuer' } }, path, violations);
    expect(violations).toEqual([]);
    expect(conf).toMatchObject({
      issuerRef: { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' },
      caCert: undefined,
      commonName: undefined,
      dnsNames: [],
    });
  });

  it.each<[string, Record<string, unknown>, [string, RegExp][]]>([
    ['nothing', {}, [['issuerRef.name', /has to be defined/]]],
    ['an empty name', { issuerRef: { name: '' } }, [['issuerRef.name', /has to be defined/]]],
    [
      'no object',
      { issuerRef: 'my-ca' },
      [
        [path, /could not convert/],
        ['issuerRef.name', /has to be defined/],
      ],
    ],
    [
      'a misspelt name',
      { issuerRef: { nmae: 'a' } },
      [
        ['issuerRef.nmae', /unknown field, use "name"/],
        ['issuerRef.name', /defined/],
      ],
    ],
    ['an unknown field', { issuerRef: { name: 'a', namespace: 'x' } }, [['issuerRef.namespace', /unknown field/]]],
    [
      'a misspelt kind',
      { issuerRef: { name: 'a', kind: 'ClusterIsuer' } },
      [['issuerRef.kind', /did you mean "ClusterIssuer"/]],
    ],
    [
      'a kind in lower case',
      { issuerRef: { name: 'a', kind: 'issuer' } },
      [['issuerRef.kind', /did you mean "Issuer"/]],
    ],
    [
      'a foreign kind in cert-manager’s group',
      { issuerRef: { name: 'a', kind: 'AWSPCAIssuer' } },
      [['issuerRef.kind', /need their own group/]],
    ],
    [
      'a misspelt group',
      { issuerRef: { name: 'a', group: 'certmanager.io' } },
      [['issuerRef.group', /did you mean "cert-manager.io"/]],
    ],
    [
      'a group with a version',
      { issuerRef: { name: 'a', group: 'cert-manager.io/v1' } },
      [['issuerRef.group', /API group/]],
    ],
    [
      'numbers',
      { issuerRef: { name: 1, kind: 2 } },
      [
        ['issuerRef.name', /string/],
        ['issuerRef.kind', /string/],
      ],
    ],
    ['a name that is none', { issuerRef: { name: 'My CA' } }, [['issuerRef.name', /name of an object/]]],
    ['a misspelt caCert', { issuerRef: { name: 'a' }, cacert: {} }, [['cacert', /unknown field, use "caCert"/]]],
    ['an empty caCert', { issuerRef: { name: 'a' }, caCert: {} }, [['caCert', /data source has to be chosen/]]],
    [
      'two sources',
      { issuerRef: { name: 'a' }, caCert: { inline: 'YQ==', secret: 'x' } },
      [['caCert', /only one source/]],
    ],
    [
      'a broken template',
      { issuerRef: { name: 'a' }, commonName: '{{ tga "x" }}' },
      [['commonName', /not a valid template/]],
    ],
    [
      'broken DNS names',
      { issuerRef: { name: 'a' }, dnsNames: ['ok', '', '{{'] },
      [
        ['dnsNames[1]', /empty/],
        ['dnsNames[2]', /template/],
      ],
    ],
    ['DNS names that are no list', { issuerRef: { name: 'a' }, dnsNames: 'a' }, [['dnsNames', /list/]]],
  ])('refuses %s', (_what, conf, expected) => {
    expect(violationsOf(conf)).toEqual(expected.map(([field, message]) => [field, expect.stringMatching(message)]));
  });

  it.each([
    { name: 'a', kind: 'ClusterIssuer' },
    { name: 'a', kind: 'AWSPCAClusterIssuer', group: 'awspca.cert-manager.io' },
    { name: 'a', kind: 'StepIssuer', group: 'certmanager.step.sm' },
    { name: 'a', kind: '', group: null },
  ])('takes %j, and fields that look like none of its own', (issuerRef) => {
    expect(violationsOf({ issuerRef, somethingElse: 1 })).toEqual([]);
  });
});
