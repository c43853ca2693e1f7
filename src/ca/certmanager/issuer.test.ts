import { describe, expect, it } from 'vitest';
import { assessIssuer } from './issuer.ts';
import type { Issuer } from './objects.ts';
import type { Subject } from './problem.ts';

const subject = (name: string, kind = 'Issuer'): Subject => ({
  mesh: 'default',
  backend: 'ca-1',
  issuerRef: { name, kind, group: 'cert-manager.io' },
  systemNamespace: 'kong-mesh-system',
});
const issuers = (...all: [string, object, string?, string?][]): ReadonlyMap<string, Issuer> =>
  new Map(
    all.map(([name, spec, status = 'True', message = '']) => [
      name,
      { metadata: { name }, spec, status: { conditions: [{ type: 'Ready', status: status as 'True', message }] } },
    ]),
  );
const none = issuers();

describe('an issuer', () => {
  it.each<[string, ReadonlyMap<string, Issuer>]>([
    ['CA', issuers(['a', { ca: {} }])],
    ['Vault', issuers(['a', { vault: {} }])],
    ['Venafi', issuers(['a', { venafi: {} }])],
  ])('of type %s that is Ready is fine', (_type, known) => {
    expect(assessIssuer(subject('a'), known, none)).toBeUndefined();
  });

  it('that cannot be looked at is given the benefit of the doubt', () => {
    expect(assessIssuer(subject('a'), undefined, undefined)).toBeUndefined();
  });

  it.each<[string, string, ReadonlyMap<string, Issuer>, ReadonlyMap<string, Issuer> | undefined, string, RegExp]>([
    [
      'is not there',
      'a',
      none,
      none,
      'IssuerNotFound',
      /^backend "ca-1" of mesh default: Issuer "a" in namespace kong-mesh-system does not exist \(an Issuer has to be in the system namespace.*create it/,
    ],
    [
      'is nearly there',
      'my-ca-isuer',
      issuers(['my-ca-issuer', { ca: {} }]),
      none,
      'IssuerNotFound',
      /did you mean "my-ca-issuer"\?/,
    ],
    [
      'is of the other kind',
      'a',
      none,
      issuers(['a', { ca: {} }]),
      'IssuerNotFound',
      /there is a ClusterIssuer of that name; set issuerRef.kind to ClusterIssuer/,
    ],
    [
      'signs with its own key',
      'a',
      issuers(['a', { selfSigned: {} }]),
      none,
      'UnsupportedIssuer',
      /SelfSigned.*use a CA issuer/,
    ],
    [
      'signs no SPIFFE IDs',
      'a',
      issuers(['a', { acme: {} }]),
      none,
      'UnsupportedIssuer',
      /ACME.*use an issuer of type CA/,
    ],
    [
      'is not Ready',
      'a',
      issuers(['a', { ca: {} }, 'False', 'secret "x" not found']),
      none,
      'IssuerNotReady',
      /not Ready: secret "x" not found; see: kubectl describe issuer a -n kong-mesh-system$/,
    ],
  ])('that %s is told in one sentence with the remedy', (_what, name, known, others, reason, message) => {
    const problem = assessIssuer(subject(name), known, others);
    expect(problem).toMatchObject({ code: 'not-configured', reason, message: expect.stringMatching(message) });
    expect(problem?.message).not.toContain('\n');
  });
});
