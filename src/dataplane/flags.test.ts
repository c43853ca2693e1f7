import { describe, expect, it } from 'vitest';
import { completeDataplaneOptions, describeDataplaneFlags, parseDataplaneFlags } from './flags.ts';

const complete = (argv: readonly string[], env: Record<string, string> = {}) =>
  completeDataplaneOptions(parseDataplaneFlags(argv), env);

describe('completeDataplaneOptions', () => {
  it('has the defaults of kuma-dp', () => {
    expect(complete(['--name', 'web-1'])).toMatchObject({
      cpAddress: new URL('https://localhost:5678'),
      caCert: { kind: 'system' },
      mesh: 'default',
      name: 'web-1',
      proxyType: 'dataplane',
      token: { kind: 'none' },
      concurrency: 0,
      drainTimeMs: 30_000,
      readinessPort: 9902,
      readinessPortFixed: false,
      envoyLogLevel: 'info',
      retryBackoffMs: 3000,
      retryMaxMs: 300_000,
    });
  });

  it('takes the environment of kuma-dp, and flags before it', () => {
    const env = {
      KUMA_CONTROL_PLANE_URL: 'https://cp:5678',
      KUMA_CONTROL_PLANE_CA_CERT: 'PEM',
      KUMA_DATAPLANE_DRAIN_TIME: '1m',
      KUMA_READINESS_PORT: '0',
      KUMA_DATAPLANE_RUNTIME_TOKEN_PATH: '/token',
      KUMA_DATAPLANE_RUNTIME_RESOURCE_PATH: '/dp.yaml',
      KUMA_DATAPLANE_RUNTIME_CONCURRENCY: '4',
    };
    expect(complete(['--drain-time', '5s', '-v', 'a=1,b=2', '-v', 'c=x,y'], env)).toMatchObject({
      cpAddress: new URL('https://cp:5678'),
      caCert: { kind: 'pem', pem: 'PEM' },
      drainTimeMs: 5000,
      readinessPort: 0,
      readinessPortFixed: true,
      token: { kind: 'file', path: '/token' },
      resource: { kind: 'file', path: '/dp.yaml' },
      concurrency: 4,
      variables: { a: '1', b: '2', c: 'x,y' },
      mesh: '',
    });
  });

  it.each([
    [['--name', 'a', '--cp-address', 'http://cp:5678'], 'read --cp-address: "http://cp:5678" is not an https:// URL'],
    [['--name', 'a', '--drain-time', 'soon'], 'read --drain-time: "soon" is not a duration'],
    [['--name', 'a', '--proxy-type', 'sidecar'], 'is not one of dataplane, ingress, egress'],
    [['--name', 'a', '--readiness-port', '70000'], 'a whole number from 0 to 65535'],
    [['--name', 'a', '-v', 'x'], 'read --dataplane-var: "x" is not of the form NAME=VALUE'],
    [['--name', 'a', '-d', 'file'], '--mesh and --name are read from the Dataplane resource'],
    [[], 'no proxy is named'],
    [['--nome', 'a'], "unknown option '--nome'"],
    [['--name'], "option '--name <value>' argument missing"],
  ])('%j is refused', (argv, message) => {
    expect(() => complete(argv)).toThrow(message);
  });
});

it('describes every flag with its environment variable', () => {
  const help = describeDataplaneFlags();
  expect(help).toContain('--cp-address URL');
  expect(help).toContain('KUMA_DATAPLANE_RUNTIME_TOKEN_PATH');
});
