import { describe, expect, it } from 'vitest';
import { TEST_INJECTOR_SETTINGS } from '../testing/injector-settings.ts';
import { loadConfig } from './config.ts';
import { injectorSettings } from './injector-settings.ts';

const settingsOf = (env: Readonly<Record<string, string>>, values?: unknown) =>
  injectorSettings(loadConfig({ env: { HOME: '/home/x', ...env }, values }).config, 'CA PEM\n');

describe('injectorSettings', () => {
  it('has the defaults that the tests of the injector stand on', () => {
    const image = expect.stringMatching(/^weft\/proxy:/);
    expect(settingsOf({ KUMA_ENVIRONMENT: 'kubernetes', KUMA_STORE_TYPE: 'kubernetes' })).toEqual({
      ...TEST_INJECTOR_SETTINGS,
      sidecar: { ...TEST_INJECTOR_SETTINGS.sidecar, image },
      init: { ...TEST_INJECTOR_SETTINGS.init, image },
    });
  });

  it('takes lists, maps and amounts from the environment, by Kuma’s names', () => {
    const settings = settingsOf({
      KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_IMAGE: 'example/proxy:1',
      KUMA_RUNTIME_KUBERNETES_INJECTOR_SIDECAR_CONTAINER_ENV_VARS: 'A:1,B:x:y',
      KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_EXCLUDE_INBOUND_PORTS: '22,8000-8100',
      KUMA_INJECTOR_SIDECAR_CONTAINER_RESOURCES_LIMITS_CPU: '2',
      KUMA_RUNTIME_KUBERNETES_EXCEPTIONS_LABELS: '',
      KUMA_EXPERIMENTAL_SIDECAR_CONTAINERS: 'false',
    });
    expect(settings).toMatchObject({
      sidecar: {
        image: 'example/proxy:1',
        envVars: { A: '1', B: 'x:y' },
        native: false,
        resources: { limits: { cpu: '2' } },
      },
      init: { image: 'example/proxy:1' },
      exceptionLabels: {},
      traffic: { excludeInboundPorts: '22,8000-8100' },
    });
  });

  it('takes ports as numbers from a file, as Kuma does', () => {
    const values = { runtime: { kubernetes: { injector: { sidecarTraffic: { excludeOutboundPorts: [25, 3306] } } } } };
    expect(settingsOf({}, values).traffic.excludeOutboundPorts).toBe('25,3306');
  });

  it.each([
    ['KUMA_RUNTIME_KUBERNETES_SIDECAR_TRAFFIC_EXCLUDE_INBOUND_PORTS', 'http'],
    ['KUMA_INJECTOR_SIDECAR_CONTAINER_RESOURCES_LIMITS_CPU', 'much'],
    ['KUMA_RUNTIME_KUBERNETES_EXCEPTIONS_LABELS', 'a'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => settingsOf({ [name]: value })).toThrow(name);
  });
});
