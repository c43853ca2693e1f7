import { describe, expect, it } from 'vitest';
import { buildRequest, deadlineOf, isFor, labelValue, type Order } from './request.ts';

const order: Order = {
  mesh: 'default',
  backend: 'certmanager-1',
  proxy: 'web-1.shop',
  uriSans: ['spiffe://default/web', 'kuma://kuma.io/service/web'],
  commonName: undefined,
  dnsNames: [],
  issuerRef: { name: 'my-ca', kind: 'Issuer', group: 'cert-manager.io' },
};
const build = (change: Partial<Parameters<typeof buildRequest>[0]> = {}) =>
  buildRequest({
    order,
    csr: Buffer.from('csr'),
    durationMs: 60_000,
    deadline: Date.UTC(2026, 0, 1),
    sealedKey: 'sealed',
    namespace: 'kong-mesh-system',
    zone: 'default',
    instanceId: 'cp-1-abc',
    owner: { apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'default', uid: 'u' },
    random: '0011223344556677',
    ...change,
  });

describe('a CertificateRequest', () => {
  it('asks for a mesh leaf, says whose it is, and is the Mesh’s', () => {
    expect(build()).toEqual({
      apiVersion: 'cert-manager.io/v1',
      kind: 'CertificateRequest',
      metadata: {
        name: expect.stringMatching(/^weft-[0-9a-f]{16}-0011223344556677$/),
        namespace: 'kong-mesh-system',
        labels: {
          'app.kubernetes.io/managed-by': 'weft-control-plane',
          'kuma.io/mesh': 'default',
          'kuma.io/ca-backend': 'certmanager-1',
          'kuma.io/zone': 'default',
          'kuma.io/proxy-hash': expect.stringMatching(/^[0-9a-f]{16}$/),
          'kuma.io/control-plane-instance': 'cp-1-abc',
        },
        annotations: {
          'kuma.io/spiffe-id': 'spiffe://default/web',
          'kuma.io/dataplane': 'web-1.shop',
          'kuma.io/deadline': '2026-01-01T00:00:00.000Z',
          'kuma.io/request-hash': expect.stringMatching(/^[0-9a-f]{16}$/),
          'kuma.io/sealed-key': 'sealed',
        },
        ownerReferences: [{ apiVersion: 'kuma.io/v1alpha1', kind: 'Mesh', name: 'default', uid: 'u' }],
      },
      spec: {
        request: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nY3Ny\n-----END CERTIFICATE REQUEST-----\n').toString(
          'base64',
        ),
        issuerRef: order.issuerRef,
        duration: '60s',
        usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
        isCA: false,
      },
    });
    expect(build({ owner: undefined, sealedKey: undefined, durationMs: 10 })).toMatchObject({
      spec: { duration: '1s' },
    });
  });

  it('is recognised by what it was made for', () => {
    const made = build();
    expect(isFor(made, { ...order })).toBe(true);
    for (const change of [
      { proxy: 'web-2.shop' },
      { mesh: 'other' },
      { backend: 'other' },
      { uriSans: ['spiffe://default/api'] },
      { dnsNames: ['a'] },
      { issuerRef: { ...order.issuerRef, kind: 'ClusterIssuer' } },
    ])
      expect(isFor(made, { ...order, ...change })).toBe(false);
  });

  it('is old by its deadline, or by its age when somebody took that away', () => {
    expect(deadlineOf(build())).toBe(Date.UTC(2026, 0, 1));
    const bare = { ...build(), metadata: { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' } };
    expect(deadlineOf(bare)).toBe(Date.UTC(2026, 0, 1, 0, 10));
  });

  it.each([
    ['certmanager-1', 'certmanager-1'],
    ['', ''],
    ['my backend!', expect.stringMatching(/^my-backend--[0-9a-f]{16}$/)],
    ['x'.repeat(64), expect.stringMatching(/^x{40}-[0-9a-f]{16}$/)],
    ['ca-', expect.stringMatching(/^ca--[0-9a-f]{16}$/)],
    ['ключ', expect.stringMatching(/^x-[0-9a-f]{16}$/)],
  ])('has valid label values: %s', (text, expected) => {
    expect(labelValue(text)).toEqual(expected);
    expect(labelValue(text)).toMatch(/^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/);
  });
});
