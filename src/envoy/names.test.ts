import { describe, expect, test } from 'vitest';
import { cidrRanges, DEFAULT_INTERNAL_CIDRS } from './address.ts';
import { destinationClusterName, inboundListenerName, statName } from './names.ts';
import { sniOfResource, sniOfTags } from './sni.ts';

describe('names', () => {
  test('a destination without further tags is named by its service', () => {
    expect(destinationClusterName({ 'kuma.io/service': 'api' })).toBe('api');
  });

  test('further tags add a hash that does not depend on their order', () => {
    const name = destinationClusterName({ 'kuma.io/service': 'api', version: 'v1' });
    expect(name).toMatch(/^api-[0-9a-f]{16}$/);
    expect(destinationClusterName({ version: 'v1', 'kuma.io/service': 'api' })).toBe(name);
    expect(destinationClusterName({ 'kuma.io/service': 'api', version: 'v2' })).not.toBe(name);
  });

  test('an IPv6 address is put in brackets', () => {
    expect(inboundListenerName('::1', 80)).toBe('inbound:[::1]:80');
  });

  test('a stat name has no character that StatsD or Prometheus splits at', () => {
    expect(statName('inbound:10.0.0.1:80 ä😀')).toBe('inbound_10_0_0_1_80___');
  });
});

describe('server names', () => {
  test('tags are sorted, the service is outside', () => {
    expect(sniOfTags('default', { version: 'v1', 'kuma.io/service': 'backend' })).toBe(
      'backend{mesh=default,version=v1}',
    );
  });

  test('a resource has a hash in front', () => {
    expect(sniOfResource('web', 'default', 80, 'ms')).toBe('add27113f6ca4edc8.web.80.default.ms');
  });

  test('long names are cut to fit into a DNS label', () => {
    expect(sniOfResource('n'.repeat(70), 'm'.repeat(62), 80, 'mes')).toMatch(/^a[0-9a-f]{16}\.n{62}x\.80\.m{62}\.mes$/);
  });
});

test('IPv6 ranges are for proxies with IPv6', () => {
  expect(cidrRanges(DEFAULT_INTERNAL_CIDRS, true)).toHaveLength(7);
  expect(cidrRanges(DEFAULT_INTERNAL_CIDRS, false)).toHaveLength(4);
  expect(cidrRanges(['nonsense', '1.2.3.4', '10.0.0.0/8'], true)).toEqual([
    { addressPrefix: '10.0.0.0', prefixLen: 8 },
  ]);
});
