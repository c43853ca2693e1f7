import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import type { KubeClient } from '../api/client.ts';
import { connectKubernetes } from '../api/connect.ts';
import { type MeshBackendState, runMeshStatus } from './mesh-status.ts';

const MESHES = '/apis/kuma.io/v1alpha1/meshes';
const SINCE = Date.UTC(2026, 0, 1);
const backend = (change: Partial<MeshBackendState> = {}): MeshBackendState => ({
  name: 'certmanager-1',
  type: 'certmanager',
  enabled: true,
  state: 'Ready',
  reason: 'Ready',
  message: 'leaf certificates are issued',
  since: SINCE,
  roots: [{ subject: 'CN=ca', fingerprint: 'AA', notBefore: SINCE, notAfter: SINCE, current: true }],
  ...change,
});
const broken = backend({ state: 'Failing', reason: 'IssuerNotFound', message: 'create it', fix: 'kind: Issuer' });

let api: FakeApiServer;
let client: KubeClient;
let states: readonly MeshBackendState[];
let rotation: object | undefined;
let changed: (mesh: string) => void;
let events: string[];
let stop: AbortController;
let running: Promise<void>;
beforeEach(async () => {
  api = await startFakeApiServer();
  client = await connectKubernetes({ env: { KUBECONFIG: api.kubeconfig } });
  api.put(MESHES, { metadata: { name: 'default', generation: 3 }, spec: { mtls: {} } });
  states = [];
  rotation = undefined;
  events = [];
  stop = new AbortController();
  running = runMeshStatus(
    {
      client,
      recorder: {
        event: (about, type, reason, message) =>
          events.push(`${about.kind}/${about.name} ${type} ${reason} ${message}`),
        close: async () => undefined,
      },
      meshes: () => ['default', 'gone'],
      backends: () => states,
      rotation: () => rotation,
      subscribe(listener) {
        changed = listener;
        return () => undefined;
      },
      clock: systemClock,
      log: silentLogger,
    },
    stop.signal,
  );
});
afterEach(async () => {
  stop.abort();
  await running;
  await client.close();
  await api.close();
});

const status = () => api.objects('meshes')[0]!['status'] as { conditions: object[]; mtls: { backends: object[] } };
const until = (what: () => boolean) => vi.waitUntil(what, { timeout: 15_000, interval: 10 });
const reason = () => (status()?.conditions[0] as { reason?: string } | undefined)?.reason;

describe('the status of a Mesh', () => {
  it('says how its backends are, and leaves the spec alone', async () => {
    await until(() => reason() === 'MtlsOff');
    states = [backend(), broken];
    changed('default');
    await until(() => reason() === 'Ready');
    expect(status()).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Ready',
          message: 'leaf certificates are issued',
          observedGeneration: 3,
          lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        },
      ],
      mtls: {
        backends: [
          {
            ...backend(),
            since: '2026-01-01T00:00:00Z',
            roots: [
              {
                subject: 'CN=ca',
                fingerprint: 'AA',
                notBefore: '2026-01-01T00:00:00Z',
                notAfter: '2026-01-01T00:00:00Z',
                current: true,
              },
            ],
          },
          expect.objectContaining({ state: 'Failing', fix: 'kind: Issuer' }),
        ],
      },
    });
    expect(api.objects('meshes')[0]!['spec']).toEqual({ mtls: {} });
  });

  it('tells in an Event what began to fail, once, and when it is well again', async () => {
    states = [broken];
    changed('default');
    await until(() => events.length === 1);
    states = [{ ...broken, message: 'create it now' }];
    changed('default');
    await until(() => JSON.stringify(status()).includes('create it now'));
    states = [backend()];
    changed('default');
    await until(() => events.length === 2);
    expect(events).toEqual([
      'Mesh/default Warning IssuerNotFound create it',
      'Mesh/default Normal BackendReady backend "certmanager-1" issues certificates again',
    ]);
  });

  it('is written once for states that follow each other, and not at all when nothing is new', async () => {
    await until(() => reason() === 'MtlsOff');
    const writes = () => client.calls.get('patch meshes/status') ?? 0;
    const before = writes();
    for (const one of [broken, backend(), broken]) {
      states = [one];
      changed('default');
    }
    await until(() => reason() === 'IssuerNotFound');
    changed('default');
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(writes() - before).toBe(1);
  });

  it('shows how far a change of the CA is, and nothing of it when there is none any more', async () => {
    const shown = () => (status()?.mtls as { rotation?: object } | undefined)?.rotation;
    rotation = { from: 'ca-1', to: 'ca-2', phase: 'Trusting' };
    changed('default');
    await until(() => shown() !== undefined);
    expect(shown()).toEqual(rotation);
    rotation = undefined;
    changed('default');
    await until(() => shown() === undefined);
  });
});
