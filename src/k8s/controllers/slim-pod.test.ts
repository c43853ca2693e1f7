import { expect, it } from 'vitest';
import type { Pod } from '../api/core-kinds.ts';
import { dataplaneOf } from './dataplane-of.ts';
import { slimPod } from './slim-pod.ts';

const PROBE = { httpGet: { path: '/8080/live', port: 9000, scheme: 'HTTP' }, periodSeconds: 5 };

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web-1',
    namespace: 'shop',
    uid: 'u',
    resourceVersion: '7',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { app: 'web' },
    annotations: {
      'kuma.io/sidecar-injected': 'true',
      'kuma.io/virtual-probes': 'enabled',
      'kuma.io/virtual-probes-port': '9000',
      note: 'x'.repeat(1000),
    },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'o' }],
  },
  spec: {
    nodeName: 'n1',
    serviceAccountName: 'sa',
    containers: [
      { name: 'app', image: 'x', env: [{ name: 'A' }], ports: [{ containerPort: 8080 }], livenessProbe: PROBE },
    ],
    initContainers: [{ name: 'kuma-sidecar', restartPolicy: 'Always' }],
    volumes: [{ name: 'v' }],
  },
  status: {
    phase: 'Running',
    podIP: '10.0.0.1',
    podIPs: [{ ip: '10.0.0.1' }],
    conditions: [{ type: 'Ready' }],
    containerStatuses: [{ name: 'app', ready: true, image: 'x' }],
    initContainerStatuses: [{ name: 'kuma-sidecar', ready: false }],
  },
} as unknown as Pod;

it('a slim Pod makes the same Dataplane in fewer bytes', () => {
  const context = {
    zone: 'z',
    systemNamespace: 's',
    nodeLabelsToCopy: [],
    ignoredServiceSelectorLabels: [],
    mesh: () => ({}),
  };
  const facts = { namespace: undefined, node: undefined, services: [] };
  const slim = slimPod(POD);
  expect(dataplaneOf({ ...facts, pod: slim }, context)).toEqual(dataplaneOf({ ...facts, pod: POD }, context));
  expect(slim.metadata.resourceVersion).toBe('7');
  expect(JSON.stringify(slim).length).toBeLessThan(JSON.stringify(POD).length / 2);
});

it('of a Pod that nobody injected only the name is kept', () => {
  expect(slimPod({ ...POD, metadata: { ...POD.metadata, annotations: { note: 'x' } } })).toEqual({
    metadata: { name: 'web-1', namespace: 'shop', uid: 'u', resourceVersion: '7' },
  });
});
