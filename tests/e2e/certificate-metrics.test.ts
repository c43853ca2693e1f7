import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { declaredMetrics } from '../../scripts/metrics-reference.ts';
import { dashboardQueries } from '../../src/install/certificate-dashboard.ts';
import { createTestCa } from '../../src/testing/certificates.ts';
import { missingPrometheus, type Prometheus, startPrometheus } from '../../src/testing/prometheus.ts';
import { createGuideShell, shellBlocks } from './guide-shell.ts';
import { createTestMesh, eventually, http, type TestMesh } from './mesh.ts';

const missing = missingPrometheus();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`Prometheus: ${missing}`);

const ROOT = join(import.meta.dirname, '../..');
const CA_LIFE_MS = 9000;
const LEAF_LIFE = '3s';

/** A proxy gets a leaf, renews it a few times, and then its CA ends: everything the dashboard has a panel for. */
describe.skipIf(missing !== undefined)(`a CA that ends${missing === undefined ? '' : ` (${missing})`}`, () => {
  let mesh: TestMesh;
  let prometheus: Prometheus;

  beforeAll(async () => {
    mesh = await createTestMesh({ store: 'memory' });
    await mesh.startControlPlane();
    prometheus = await startPrometheus({
      target: `127.0.0.1:${mesh.ports.diagnostics}`,
      ruleFiles: [join(ROOT, 'deploy/prometheus/weft-alerts.yaml')],
    });
    const value = async (expr: string) => (await prometheus.query(expr))[0]?.value ?? 0;
    await mesh.startProxy({ name: 'web-1', service: 'web' });
    // Its Envoy takes as long as it takes to start; the CA's life begins then.
    await eventually('the proxy is connected', 60_000, async () => (await value('xds_streams_active')) > 0);
    const ca = await createTestCa({ now: Date.now(), to: CA_LIFE_MS });
    await mesh.put({
      type: 'Mesh',
      name: 'default',
      mtls: {
        enabledBackend: 'company',
        backends: [
          {
            name: 'company',
            type: 'provided',
            dpCert: { rotation: { expiration: LEAF_LIFE } },
            conf: { cert: { inlineString: ca.pem }, key: { inlineString: ca.keyPem } },
          },
        ],
      },
    });
    await eventually('its leaves expire', 90_000, async () => (await value('weft_certificates{state="expired"}')) > 0);
    const scraped = 'count_over_time(weft_issuance_failures[1m])';
    await eventually('failures are counted', 60_000, async () => (await value(scraped)) > 1);
  });
  afterAll(async () => {
    await prometheus?.close();
    await mesh?.close();
  });

  it.each(dashboardQueries())('the dashboard shows "$title"', async ({ title, expr }) => {
    const sent = expr.replaceAll('$mesh', '.*').replaceAll('$__rate_interval', '2m');
    const samples = await prometheus.query(sent);
    expect(samples, `${title}: ${sent}`).not.toEqual([]);
    for (const { value } of samples) expect(value, `${title}: ${sent}`).not.toBeNaN();
  });

  it('its numbers are those of this mesh', async () => {
    const [states] = await prometheus.query('weft_certificates{state="expired"}');
    expect(states).toMatchObject({ metric: { mesh: 'default', service: 'web', backend: 'company' }, value: 1 });
    const [left] = await prometheus.query('weft_ca_expiry_seconds_left');
    expect(left!.value).toBeLessThan(0);
    const [issued] = await prometheus.query('cert_generation');
    expect(issued!.value).toBeGreaterThan(1);
  });

  it('the alert about it fires, and all others are evaluated', async () => {
    const alerts = await eventually('alert', 60_000, async () => {
      const { groups } = await prometheus.get('rules');
      const rules: { name: string; state: string; health: string }[] = groups[0].rules;
      return rules.some(({ name, state }) => name === 'WeftCertificateExpired' && state === 'firing') && rules;
    });
    expect(new Set(alerts.map(({ health }) => health))).toEqual(new Set(['ok']));
  });

  it('every metric of the control plane is documented', async () => {
    const { body } = await http(`http://127.0.0.1:${mesh.ports.diagnostics}/metrics`);
    const shown = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
    expect(shown).toContain('weft_certificates');
    const documented = new Set(declaredMetrics().map(({ name }) => name));
    expect(shown.filter((name) => !documented.has(name))).toEqual([]);
  });

  it('the commands of the guide run', async () => {
    await using shell = createGuideShell('', process.env);
    for (const { script, kind } of shellBlocks(readFileSync(join(ROOT, 'docs/guides/certificate-alerts.md'), 'utf8'))) {
      if (kind !== 'run') continue;
      const { code, output } = await shell.run(script);
      expect([code, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
    }
  });
});
