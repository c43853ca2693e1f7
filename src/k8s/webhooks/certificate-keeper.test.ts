import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { type FakeApiServer, type FakeObject, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import type { KubeClient } from '../api/client.ts';
import { connectKubernetes } from '../api/connect.ts';
import { createCaBundles } from './ca-bundle.ts';
import { type CertificateKeeper, openCertificates } from './certificate-keeper.ts';
import { CERTIFICATE_LIVES } from './certificate-plan.ts';

let api: FakeApiServer;
let client: KubeClient;
let stop: AbortController;
/** A busy machine is slow, not wrong. */
const PATIENCE_MS = 40_000;
const open: CertificateKeeper[] = [];
const SECRETS = '/api/v1/namespaces/sys/secrets';
vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });
const HOOKS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

beforeEach(async () => {
  api = await startFakeApiServer();
  client = await connectKubernetes({ env: { KUBECONFIG: api.kubeconfig } });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  for (const keeper of open.splice(0)) await keeper.close();
  await client.close();
  await api.close();
});

async function keeper(lives = CERTIFICATE_LIVES): Promise<CertificateKeeper> {
  const made = await openCertificates({
    client,
    namespace: 'sys',
    names: ['weft-control-plane.sys.svc'],
    lives,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
  });
  open.push(made);
  return made;
}

const secret = () => api.objects('secrets')[0] as FakeObject & { readonly data: Record<string, string> };
const configuration = (caBundle?: string): FakeObject => ({
  metadata: { name: 'weft-admission-mutating', labels: { kept: 'yes' } },
  webhooks: ['a', 'b'].map((name) => ({ name, clientConfig: { url: 'https://x', ...(caBundle && { caBundle }) } })),
});
const bundles = () =>
  (
    api.objects('mutatingwebhookconfigurations')[0] as unknown as {
      webhooks: { clientConfig: { caBundle?: string } }[];
    }
  ).webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString());

describe('the certificate keeper', () => {
  it('makes one certificate for all replicas that start at once', async () => {
    const keepers = await Promise.all([keeper(), keeper(), keeper()]);
    expect(new Set(keepers.map(({ serving }) => serving.certPem)).size).toBe(1);
    expect(api.objects('secrets')).toHaveLength(1);
  });

  it('writes the same certificates again when the Secret is deleted or damaged', async () => {
    const made = await keeper();
    const running = made.rotate(async () => undefined, stop.signal);
    const { data } = secret();
    api.remove(`${SECRETS}/weft-webhook-tls`);
    await vi.waitFor(() => expect(secret()?.data).toEqual(data), PATIENCE_MS);
    api.put(SECRETS, { ...secret(), data: { 'tls.crt': 'eA==' } });
    await vi.waitFor(() => expect(secret().data).toEqual(data), PATIENCE_MS);
    stop.abort();
    await running;
    expect(Buffer.from(data['tls.crt']!, 'base64').toString()).toBe(made.serving.certPem);
  });

  it('rolls the CA over; followers show what the leader made', async () => {
    const lives = { caMs: 12_000, servingMs: 3000, settleMs: 1000 };
    const [leader, follower] = [await keeper(lives), await keeper(lives)];
    const first = leader.caBundle;
    const trusted: string[] = [];
    const running = leader.rotate(async (bundle) => void trusted.push(bundle), stop.signal);
    await vi.waitFor(() => {
      expect(follower.caBundle).not.toContain(first);
      expect(follower.serving.certPem).toBe(leader.serving.certPem);
    }, PATIENCE_MS);
    stop.abort();
    await running;
    // Before the new CA signed, both were made known.
    expect(trusted).toHaveLength(1);
    expect(trusted[0]).toContain(first);
    expect(trusted[0]).toContain(follower.caBundle);
    const leaf = new X509Certificate(follower.serving.certPem);
    expect(leaf.verify(new X509Certificate(follower.caBundle!).publicKey)).toBe(true);
  }, 60_000);

  it('does not let the next CA sign while API servers can not be told of it', async () => {
    const lives = { caMs: 9000, servingMs: 3000, settleMs: 1000 };
    const leader = await keeper(lives);
    let asked = 0;
    const running = leader.rotate(async () => {
      asked += 1;
      throw new Error('forbidden');
    }, stop.signal);
    await vi.waitFor(() => expect(asked).toBeGreaterThan(0), PATIENCE_MS);
    const [ca = ''] = (leader.caBundle ?? '').split(/(?<=-----END CERTIFICATE-----\n)/);
    expect(new X509Certificate(leader.serving.certPem).verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(secret().data).toHaveProperty('next.crt');
    stop.abort();
    await running;
  }, 60_000);
});

describe('caBundle', () => {
  it('is filled in, and repaired when somebody breaks it; nothing else is touched, nothing is created', async () => {
    const made = await keeper();
    const metrics = createMetrics();
    const caBundles = createCaBundles({ client, clock: systemClock, random: Math.random, log: silentLogger, metrics });
    await caBundles.apply(made.caBundle!);
    expect(api.objects('mutatingwebhookconfigurations')).toEqual([]);
    expect(await metrics.metrics()).toContain(
      'weft_webhook_configuration_trusted{configuration="weft-admission-mutating"} 0',
    );

    const running = caBundles.keep(made, stop.signal);
    api.put(HOOKS, configuration());
    await vi.waitFor(() => expect(bundles()).toEqual([made.caBundle, made.caBundle]), PATIENCE_MS);
    expect(api.objects('mutatingwebhookconfigurations')[0]).toMatchObject({
      metadata: { labels: { kept: 'yes' } },
      webhooks: [{ clientConfig: { url: 'https://x' } }, {}],
    });
    await vi.waitFor(
      async () =>
        expect(await metrics.metrics()).toContain(
          'weft_webhook_configuration_trusted{configuration="weft-admission-mutating"} 1',
        ),
      PATIENCE_MS,
    );

    api.put(HOOKS, configuration('YnJva2Vu'));
    await vi.waitFor(() => expect(bundles()).toEqual([made.caBundle, made.caBundle]), PATIENCE_MS);
    const calls = api.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(api.requests.slice(calls).filter((line) => line.startsWith('PATCH'))).toEqual([]);
    stop.abort();
    await running;
  });
});
