import { describe, expect, it } from 'vitest';
import { assessRole, type Role, type RoleNeeds, roleCommand } from './role.ts';

const NEEDS: RoleNeeds = { mesh: 'default', keyType: 'ec-p256', leafLifetimeMs: 86_400_000, hasCommonName: false };
/** As Vault shows a role that has what a mesh needs. */
const GOOD: Role = {
  allowed_uri_sans: ['spiffe://default/*', 'kuma://*'],
  client_flag: true,
  ext_key_usage: [],
  key_bits: 256,
  key_type: 'ec',
  key_usage: ['DigitalSignature', 'KeyAgreement', 'KeyEncipherment'],
  max_ttl: 2_592_000,
  require_cn: false,
  server_flag: true,
};
const optionsOf = (change: object, needs = NEEDS) =>
  assessRole({ ...GOOD, ...change }, needs).map(({ option }) => option);

describe('a role of the PKI engine', () => {
  it('that has what a mesh needs has no fault', () => {
    expect(assessRole(GOOD, NEEDS)).toEqual([]);
    expect(assessRole({}, NEEDS)).toEqual([]);
  });

  it.each([
    [{ allowed_uri_sans: ['*'] }, []],
    [{ allowed_uri_sans: 'spiffe://default/*,kuma://*' }, []],
    [{ allowed_uri_sans: [] }, ['allowed_uri_sans']],
    [{ allowed_uri_sans: ['spiffe://other/*', 'kuma://*'] }, ['allowed_uri_sans']],
    [{ allowed_uri_sans: ['spiffe://defaultx*', 'kuma://*'] }, ['allowed_uri_sans']],
    [{ allowed_uri_sans: ['{{identity.entity.name}}'], allowed_uri_sans_template: true }, []],
    [{ require_cn: true }, ['require_cn']],
    [{ key_type: 'any', key_bits: 0 }, []],
    [{ key_type: 'rsa', key_bits: 2048 }, ['key_type']],
    [{ key_bits: 384 }, ['key_bits']],
    [{ client_flag: false }, ['client_flag']],
    [{ client_flag: false, ext_key_usage: ['ClientAuth'] }, []],
    [{ client_flag: false, ext_key_usage: ['ExtKeyUsageClientAuth'] }, ['client_flag']],
    [{ server_flag: false }, ['server_flag']],
    [{ key_usage: [] }, ['key_usage']],
    [{ key_usage: ['keyagreement', ' digitalsignature '] }, []],
    [{ key_usage: ['KeyUsageDigitalSignature'] }, ['key_usage']],
    [{ max_ttl: 0 }, []],
    [{ max_ttl: 86_399 }, ['max_ttl']],
    [{ max_ttl: 86_400 }, []],
  ])('%j: %j', (change, options) => expect(optionsOf(change)).toEqual(options));

  it('may want a common name when the leaves have one, and RSA when they are RSA', () => {
    expect(optionsOf({ require_cn: true }, { ...NEEDS, hasCommonName: true })).toEqual([]);
    expect(optionsOf({ key_type: 'rsa', key_bits: 2048 }, { ...NEEDS, keyType: 'rsa-2048' })).toEqual([]);
    expect(optionsOf({}, { ...NEEDS, keyType: 'rsa-2048' })).toEqual(['key_type']);
  });

  it('is mended by a command that keeps the rest of it, since writing a role resets what is not named', () => {
    const role = {
      ...GOOD,
      key_type: 'rsa',
      key_bits: 4096,
      organization: ['shop "A"'],
      no_store: true,
      max_ttl: 3600,
    };
    const at = { pki: 'pki', role: 'dp' };
    expect(roleCommand(at, role, assessRole(role, NEEDS), NEEDS)).toBe(
      'vault write pki/roles/dp allowed_uri_sans="spiffe://default/*,kuma://*" max_ttl=720h require_cn=false organization="shop \\"A\\"" no_store=true key_type=ec\n',
    );
  });

  it('that cannot be read gets a command with all of what a mesh needs', () => {
    const needs = { ...NEEDS, leafLifetimeMs: 90 * 86_400_000 };
    expect(roleCommand({ pki: 'pki', role: 'dp' }, undefined, [], needs)).toBe(
      'vault write pki/roles/dp allowed_uri_sans="spiffe://default/*,kuma://*" require_cn=false key_type=ec client_flag=true server_flag=true key_usage=DigitalSignature,KeyEncipherment,KeyAgreement max_ttl=2160h\n',
    );
  });
});
