import { describe, expect, it } from 'vitest';
import { XdsError } from '../xds-server/xds.ts';
import { parseProxyNode } from './proxy-node.ts';

const node = (metadata: Record<string, unknown>, id = 'default.web-1') => ({
  id,
  cluster: 'web',
  metadata,
  envoyVersion: '1.40.0',
  userAgent: 'envoy',
});

/** Node metadata as a 2.11 bootstrap sets it: numbers travel as strings. */
const METADATA = {
  'dataplane.admin.address': '127.0.0.1',
  'dataplane.admin.port': '9901',
  'dataplane.dns.port': '15054',
  'dataplane.proxyType': 'dataplane',
  'dataplane.readinessReporter.port': '9902',
  'dataplane.resource': '{"type":"Dataplane"}',
  features: ['feature-tcp-accesslog-via-named-pipe'],
  ipv6Enabled: true,
  version: {
    kumaDp: { version: '2.11.18', gitTag: 'v2.11.18', gitCommit: 'abc', buildDate: '2026' },
    envoy: { version: '1.34.0', build: 'a/1.34.0/Clean/RELEASE/BoringSSL', kumaDpCompatible: true },
  },
  workdir: '/tmp/web-1',
};

describe('parseProxyNode', () => {
  it('reads the node of a proxy', () => {
    expect(parseProxyNode(node(METADATA))).toEqual({
      key: { mesh: 'default', name: 'web-1' },
      proxyType: 'dataplane',
      resourceText: '{"type":"Dataplane"}',
      versions: {
        kumaDp: {
          version: '2.11.18',
          gitTag: 'v2.11.18',
          gitCommit: 'abc',
          buildDate: '2026',
          kumaCpCompatible: true,
        },
        envoy: { version: '1.34.0', build: 'a/1.34.0/Clean/RELEASE/BoringSSL', kumaDpCompatible: true },
      },
      metadata: {
        adminPort: 9901,
        adminAddress: '127.0.0.1',
        readinessPort: 9902,
        features: ['feature-tcp-accesslog-via-named-pipe'],
        workdir: '/tmp/web-1',
        ipv6Enabled: true,
        identityFrom: 'ads',
        appProbeProxyEnabled: false,
      },
    });
  });

  it('reads where the proxy gets its certificate from', () => {
    expect(parseProxyNode(node({ ...METADATA, 'weft.keys': 'proxy' })).metadata.identityFrom).toBe('launcher');
  });

  it.each([
    ['2.8.1', false],
    ['2.9.0', true],
    ['2.14.3', true],
    ['2.16.0', true],
    ['2.17.0', false],
    ['3.0.0', false],
    ['1.8.0', false],
    ['0.1.0', true],
    ['0.0.0-preview.v1', true],
    ['unknown', true],
  ])('says whether launcher %s fits: %s', (version, kumaCpCompatible) => {
    const { versions } = parseProxyNode(node({ version: { kumaDp: { version } } }));
    expect(versions.kumaDp).toEqual({ version, kumaCpCompatible });
  });

  it('takes a proxy that says nothing of IPv6 to have it', () => {
    expect(parseProxyNode(node({})).metadata.ipv6Enabled).toBe(true);
    expect(parseProxyNode(node({ ipv6Enabled: false })).metadata.ipv6Enabled).toBe(false);
  });

  it('keeps dots in the name', () => {
    expect(parseProxyNode(node({}, 'default.web-1.shop')).key).toEqual({ mesh: 'default', name: 'web-1.shop' });
  });

  it.each(['', 'default', 'default.', '.web-1'])('refuses node id "%s"', (id) => {
    expect(() => parseProxyNode(node({}, id))).toThrow(XdsError);
  });

  it('refuses a proxy type that does not exist', () => {
    expect(() => parseProxyNode(node({ 'dataplane.proxyType': 'router' }))).toThrow(/unknown proxy type "router"/);
  });
});
