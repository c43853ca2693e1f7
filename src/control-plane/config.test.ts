import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, type ConfigSources, loadConfig, maskedConfig } from './config.ts';
import { CONFIG_KEYS } from './config-keys.ts';
import { envNameOf, formatGoDuration, placedSettings } from './config-setting.ts';
import { keysWithoutEffect } from './config-without-effect.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(yaml: string): string {
  const path = join(directory, `${Math.random()}.yaml`);
  writeFileSync(path, yaml);
  return path;
}

function load(yaml: string, env: ConfigSources['env'] = {}) {
  return loadConfig({ file: file(yaml), env: { HOME: '/home/me', ...env } });
}

function problems(yaml: string, env: ConfigSources['env'] = {}) {
  try {
    load(yaml, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  it('completes an empty configuration with defaults', () => {
    const { config, warnings } = loadConfig({ env: { HOME: '/home/me' } });
    expect(config.apiServer.http.port).toBe(5681);
    expect(config.store.type).toBe('sqlite');
    expect(config.store.sqlite.path).toBe('/home/me/.weft/weft.db');
    expect(config.weft.identity.sealingKeyFile).toBe('/home/me/.weft/sealing.key');
    expect(config.xdsServer.dataplaneDeregistrationDelay).toBe(10_000);
    expect(config.dpServer.authn.dpProxy.type).toBe('dpToken');
    expect(config.dpServer.tlsMinVersion).toBe('TLSv1_2');
    expect(warnings).toEqual([]);
  });

  it('on Kubernetes, proxies show the token of their Pod; elsewhere that is refused', () => {
    const { config } = load('environment: kubernetes\nstore: {type: kubernetes}\n');
    expect(config.dpServer.authn.dpProxy.type).toBe('serviceAccountToken');
    expect(problems('dpServer: {authn: {dpProxy: {type: serviceAccountToken}}}\n')).toEqual([
      { field: 'dpServer.authn.dpProxy.type', reason: 'serviceAccountToken needs environment kubernetes' },
    ]);
  });

  it('reads the file and lets the environment win', () => {
    const { config } = load('store: {type: memory}\napiServer: {http: {port: 1}, corsAllowedDomains: [a]}\n', {
      KUMA_API_SERVER_HTTP_PORT: '2',
      KUMA_API_SERVER_CORS_ALLOWED_DOMAINS: 'b, c',
      KUMA_API_SERVER_READ_ONLY: 'TRUE',
      KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY: '1m30s',
    });
    expect(config.store.type).toBe('memory');
    expect(config.apiServer.http.port).toBe(2);
    expect(config.apiServer.corsAllowedDomains).toEqual(['b', 'c']);
    expect(config.apiServer.readOnly).toBe(true);
    expect(config.xdsServer.dataplaneDeregistrationDelay).toBe(90_000);
  });

  it('takes empty values of a file as not given', () => {
    const { config } = load('general:\n  tlsCertFile:\ndpServer:\n  authn: {dpProxy: {type: ""}}\nstore:\n');
    expect(config.general.tlsCertFile).toBe('');
    expect(config.dpServer.authn.dpProxy.type).toBe('dpToken');
  });

  it('hands the general TLS settings to servers that have none of their own', () => {
    const { config } = load(
      'general: {tlsCertFile: /a.crt, tlsKeyFile: /a.key, tlsMinVersion: TLSv1_3}\ndpServer: {tlsCertFile: /b.crt, tlsKeyFile: /b.key}\n',
    );
    expect(config.dpServer.tlsCertFile).toBe('/b.crt');
    expect(config.apiServer.https.tlsKeyFile).toBe('/a.key');
    expect(config.dpServer.tlsMinVersion).toBe('TLSv1_3');
  });

  it('lists every problem with its field', () => {
    expect(
      problems(
        'stor: {}\nstore: {typ: memory}\napiServer: {http: {port: 70000, enabled: maybe}}\nxdsServer: {dataplaneStatusFlushInterval: 5 apples}\n' +
          'dpServer: {authn: {dpProxy: {dpToken: {validator: {publicKeys: [{kid: "1", mesh: default}]}}}}}\nmode: global\nmetrics: 3\n',
        { KUMA_DP_SERVER_PROT: '1', KUMA_API_SERVER_HTTPS_PORT: 'x' },
      ),
    ).toEqual([
      { field: 'stor', reason: 'unknown key', suggestion: 'store' },
      { field: 'store.typ', reason: 'unknown key', suggestion: 'store.type' },
      { field: 'metrics', reason: 'must be a section with keys' },
      { field: 'KUMA_DP_SERVER_PROT', reason: 'unknown environment variable', suggestion: 'KUMA_DP_SERVER_PORT' },
      { field: 'mode', reason: 'must be one of: zone' },
      { field: 'xdsServer.dataplaneStatusFlushInterval', reason: 'must be a duration such as 500ms, 10s or 1h30m' },
      { field: 'apiServer.http.enabled', reason: 'must be true or false' },
      { field: 'apiServer.http.port', reason: 'must be in the range [0, 65535]' },
      { field: 'KUMA_API_SERVER_HTTPS_PORT', reason: 'must be a port number' },
      {
        field: 'dpServer.authn.dpProxy.dpToken.validator.publicKeys[0]',
        reason: 'needs exactly one of key and keyFile',
      },
    ]);
  });

  it('checks keys that belong together', () => {
    expect(
      problems(
        'apiServer: {rootUrl: "cp:5681", basePath: api}\n' +
          'general: {tlsCertFile: /a.crt}\nstore: {type: postgres, postgres: {host: "", tls: {mode: verifyFull}}}\n',
      ),
    ).toEqual([
      { field: 'general.tlsKeyFile', reason: 'must be set together with general.tlsCertFile' },
      { field: 'store.postgres.host', reason: 'must not be empty when store.type is postgres' },
      { field: 'store.postgres.tls.caPath', reason: 'must be set when the server certificate is verified' },
      { field: 'apiServer.basePath', reason: 'must start with /' },
      { field: 'apiServer.rootUrl', reason: 'must be an http or https URL' },
    ]);
  });

  it('reads CA plug-ins from the file, or from a variable as JSON', () => {
    const [fromFile] = load('weft: {ca: {plugins: [{type: my-ca, module: /opt/my-ca}]}}').config.weft.ca.plugins;
    expect(fromFile).toEqual({ type: 'my-ca', module: '/opt/my-ca', env: [], read: [], allow: [], memoryMb: 256 });
    const WEFT_CA_PLUGINS = '[{"type":"a","module":"a","env":["X"]}]';
    expect(load('', { WEFT_CA_PLUGINS }).config.weft.ca.plugins).toMatchObject([{ type: 'a', env: ['X'] }]);
    expect(load('', { WEFT_CA_PLUGINS: '' }).config.weft.ca.plugins).toEqual([]);
    const module = 'module: x';
    expect(
      problems(
        `weft: {ca: {plugins: [{type: vault, ${module}}, {type: a, ${module}, memory: 1}, {type: A, module: ""}, {}]}}`,
      ).map(({ field }) => field),
    ).toEqual([
      'weft.ca.plugins[0].type',
      'weft.ca.plugins[1]',
      'weft.ca.plugins[2].type',
      'weft.ca.plugins[2].module',
      'weft.ca.plugins[3].type',
      'weft.ca.plugins[3].module',
    ]);
    expect(problems(`weft: {ca: {plugins: [{type: a, ${module}}, {type: a, ${module}}]}}`)).toEqual([
      { field: 'weft.ca.plugins[1].type', reason: 'is listed twice' },
    ]);
    expect(problems('', { WEFT_CA_PLUGINS: '{' })).toEqual([{ field: 'WEFT_CA_PLUGINS', reason: 'must be a list' }]);
  });

  it('says where a file is not YAML', () => {
    const [problem] = problems('store:\n  type: [memory\n');
    expect(problem?.reason).toMatch(/^not YAML at line 3/);
    expect(() => loadConfig({ file: join(directory, 'none'), env: {} })).toThrow(/cannot read the file: ENOENT/);
  });

  it('warns of keys that have no effect here', () => {
    const { warnings } = load(
      'reports: {enabled: true}\nruntime: {kubernetes: {injector: {builtinDNS: {enabled: true}}}}\n',
      { KUMA_RUNTIME_KUBERNETES_INJECTOR_BUILTIN_DNS_PORT: '1' },
    );
    expect(warnings).toEqual([
      'reports.enabled has no effect: usage reports are never sent',
      'runtime.kubernetes.injector.builtinDNS.enabled, KUMA_RUNTIME_KUBERNETES_INJECTOR_BUILTIN_DNS_PORT have no effect: the proxy answers no DNS in this version',
    ]);
  });

  it('refuses keys whose absence would be less safe, unless they ask for nothing', () => {
    expect(problems('apiServer: {https: {requireClientCert: false, tlsCipherSuites: []}}\n')).toEqual([]);
    const reason = 'cannot be honoured, remove it: not available in this version';
    expect(
      problems('apiServer: {https: {requireClientCert: true}}\n', { KUMA_GENERAL_TLS_MAX_VERSION: 'TLSv1_2' }),
    ).toEqual([
      { field: 'apiServer.https.requireClientCert', reason },
      { field: 'KUMA_GENERAL_TLS_MAX_VERSION', reason },
    ]);
  });

  it('leaves the variables of data planes and of Kubernetes alone', () => {
    const env = {
      KUMA_DATAPLANE_MESH: 'default',
      KUMA_CONTROL_PLANE_URL: 'https://cp:5678',
      KUMA_DNS_ENABLED: 'false',
      KUMA_METRICS_SERVICE_HOST: '10.0.0.1',
      KUMA_METRICS_PORT_80_TCP_ADDR: '10.0.0.1',
      WEFT_ENVOY: '/usr/bin/envoy',
    };
    expect(problems('', env)).toEqual([]);
    expect(problems('', { WEFT_LOG_LEVLE: 'debug' })).toEqual([
      { field: 'WEFT_LOG_LEVLE', reason: 'unknown environment variable', suggestion: 'WEFT_LOG_LEVEL' },
    ]);
  });

  it('takes values in the YAML form from a caller', () => {
    const { config } = loadConfig({ values: { general: { workDir: '/w' }, dpServer: { port: 0 } }, env: {} });
    expect(config.store.sqlite.path).toBe('/w/weft.db');
    expect(config.dpServer.port).toBe(0);
  });
});

describe('maskedConfig', () => {
  it('hides secrets and prints durations as Go does', () => {
    const { config } = load('store: {postgres: {password: hunter2}}\n');
    const shown = maskedConfig(config);
    expect(JSON.stringify(shown)).not.toContain('hunter2');
    expect(shown).toMatchObject({
      store: { postgres: { password: '***', maxConnectionLifetime: '1h0m0s' } },
      xdsServer: { dataplaneStatusFlushInterval: '10s' },
    });
  });

  it('can be read back', () => {
    const { config } = load('apiServer: {idleTimeout: 1m30.5s}\nstore: {postgres: {password: "***"}}\n');
    expect(loadConfig({ values: maskedConfig(config), env: {} }).config).toEqual(config);
  });
});

describe('keys', () => {
  it('have one path and one environment name each, and a description', () => {
    const settings = placedSettings(CONFIG_KEYS);
    const idle = keysWithoutEffect();
    const paths = [...settings, ...idle].map((key) => key.path);
    const names = [...settings, ...idle].flatMap((key) => key.env ?? []);
    expect(new Set(paths).size).toBe(paths.length);
    expect(new Set(names).size).toBe(names.length);
    for (const { setting } of settings) {
      expect(setting.description).toMatch(/[.:]/);
      expect(setting.default).not.toBeNaN();
    }
  });

  it('have environment names as Kuma makes them', () => {
    expect(envNameOf('general.dnsCacheTTL')).toBe('KUMA_GENERAL_DNS_CACHE_TTL');
    expect(envNameOf('apiServer.https.tlsCertFile')).toBe('KUMA_API_SERVER_HTTPS_TLS_CERT_FILE');
    expect(envNameOf('ipam.knownInternalCIDRs')).toBe('KUMA_IPAM_KNOWN_INTERNAL_CIDRS');
    const idle = new Map(keysWithoutEffect().map((key) => [key.path, key.env]));
    expect(idle.get('dpServer.hds.checkDefaults.noTrafficInterval')).toBe(
      'KUMA_DP_SERVER_HDS_CHECK_NO_TRAFFIC_INTERVAL',
    );
    expect(idle.get('runtime.kubernetes.injector.validationContainer.resources.limits.cpu')).toBe(
      'KUMA_INJECTOR_VALIDATION_CONTAINER_RESOURCES_LIMITS_CPU',
    );
  });

  it('print durations as Go does', () => {
    expect([0, 500, 1000, 90_500, 3_600_000].map(formatGoDuration)).toEqual(['0s', '500ms', '1s', '1m30.5s', '1h0m0s']);
  });
});
