import { describe, expect, it } from 'vitest';
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import type { BackendReport } from './cas.ts';
import type { CheckId } from './catalogue.ts';
import { ABSENT, type Fact, known } from './fact.ts';
import type { Outcome } from './finding.ts';
import type { IssuerFacts } from './issuers.ts';
import type { Crd, Deployment, SchemaNode, WebhookConfiguration } from './kube-objects.ts';
import { type ClusterFacts, checkKubernetes, type KubernetesFacts } from './kubernetes-facts.ts';
import type { ProxyState } from './proxies.ts';
import { CA_THRESHOLD, LEAF_THRESHOLD } from './thresholds.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const life = { notBefore: NOW - HOUR, notAfter: NOW + 10 * DAY };
const FORBIDDEN: Fact<never> = { state: 'forbidden', reason: 'no rights' };

const SCHEMA: SchemaNode = { properties: { spec: { properties: { mtls: { items: {} } } } } };
const crd = (name: string, version = 'v1', established = 'True', schema: SchemaNode = SCHEMA): Crd => ({
  metadata: { name },
  spec: { versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: schema } }] },
  status: { conditions: [{ type: 'Established', status: established as 'True' }] },
});

const deployment = (name: string, version: string, readyReplicas: number, replicas = 1): Deployment => ({
  metadata: { name, namespace: 'ns', labels: { 'app.kubernetes.io/version': version } },
  spec: {
    replicas,
    template: { spec: { serviceAccountName: name, containers: [{ name, image: `weft/${name}:${version}` }] } },
  },
  status: { readyReplicas, updatedReplicas: replicas },
});

const hooks = (name: string): Fact<WebhookConfiguration> =>
  known({ metadata: { name }, webhooks: [{ name: 'validator', clientConfig: { caBundle: 'x' } }] });

const issuer: IssuerFacts = {
  mesh: 'default',
  backend: 'certmanager-1',
  enabled: true,
  ref: { name: 'my-ca-issuer', kind: 'Issuer', group: 'cert-manager.io' },
  namespace: 'ns',
  issuer: known({
    metadata: { name: 'my-ca-issuer' },
    spec: { ca: { secretName: 'my-ca' } },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }),
  approver: known({ user: 'system:serviceaccount:cert-manager:cert-manager', allowed: true }),
};

const insight: DataplaneInsightSpec = {
  subscriptions: [{ id: '1', connectTime: '2025-12-31T00:00:00Z' }],
  mTLS: { certificateExpirationTime: '2026-01-01T12:00:00Z', issuedBackend: 'certmanager-1' },
  weft: { inSync: true, certificate: { notBefore: '2025-12-31T12:00:00Z' } },
};
const proxy = (spec: DataplaneInsightSpec | undefined, name = 'web.shop'): ProxyState => ({
  mesh: 'default',
  name,
  insight: spec,
});

const webhooks: ClusterFacts['webhooks'] = {
  namespace: 'ns',
  configurations: [{ name: 'mutating', found: hooks('mutating'), bundles: new Map([['validator', [life]]]) }],
  served: known({ ...life, trusted: true, goodForService: true }),
  answer: known({ kind: 'refused', message: '' }),
  threshold: LEAF_THRESHOLD,
  now: NOW,
};

const cluster: ClusterFacts = {
  rights: {
    caller: known([]),
    controlPlaneUser: 'system:serviceaccount:ns:cp',
    controlPlane: known([]),
    tooMuch: known([]),
  },
  crds: known([crd('meshes.kuma.io', 'v1alpha1')]),
  expectedCrds: [{ name: 'meshes.kuma.io', version: 'v1alpha1', schema: SCHEMA }],
  webhooks,
  controlPlane: { namespace: 'ns', deployment: known(deployment('weft-control-plane', '1.0.0', 1)), version: '1.0.0' },
  certManager: {
    used: true,
    crds: known(['certificaterequests', 'issuers', 'clusterissuers'].map((plural) => crd(`${plural}.cert-manager.io`))),
    controllers: known([deployment('cert-manager', 'v1.16.1', 1)]),
  },
  issuers: [issuer],
  proxies: {
    proxies: known([proxy(insight)]),
    mtlsMeshes: new Set(['default']),
    threshold: LEAF_THRESHOLD,
    now: NOW,
    inspect: 'inspect',
  },
  backends: [
    {
      mesh: 'default',
      backends: known([
        {
          name: 'certmanager-1',
          enabled: true,
          state: 'Ready',
          roots: [
            { subject: 'CN=ca', notBefore: '2025-12-31T00:00:00Z', notAfter: '2027-01-01T00:00:00Z', current: true },
          ],
        },
      ]),
      threshold: CA_THRESHOLD,
      now: NOW,
    },
  ],
};

const facts = (changes: Partial<ClusterFacts> = {}): KubernetesFacts => ({
  apiServer: {
    server: 'https://server',
    version: known('v1.33.0'),
    clock: known({ sentAt: NOW, receivedAt: NOW, serverTime: NOW }),
    nodes: known([{ name: 'node', renewedAt: NOW }]),
  },
  now: NOW,
  cluster: { ...cluster, ...changes },
});

const issuerIs = (changes: Partial<IssuerFacts>): Partial<ClusterFacts> => ({ issuers: [{ ...issuer, ...changes }] });
const issuerObject = (spec: Readonly<Record<string, unknown>>, ready: 'True' | 'False' = 'True', message = '') =>
  known({ metadata: { name: 'i' }, spec, status: { conditions: [{ type: 'Ready', status: ready, message }] } });
const proxiesAre = (...all: readonly ProxyState[]): Partial<ClusterFacts> => ({
  proxies: { ...cluster.proxies, proxies: known(all) },
});
const hooksAre = (changes: Partial<ClusterFacts['webhooks']>): Partial<ClusterFacts> => ({
  webhooks: { ...webhooks, ...changes },
});
const backendIs = (changes: Partial<BackendReport>): Partial<ClusterFacts> => ({
  backends: [
    {
      mesh: 'default',
      backends: known([{ name: 'b', enabled: true, state: 'Ready', ...changes }]),
      threshold: CA_THRESHOLD,
      now: NOW,
    },
  ],
});
const caEndsIn = (ms: number, changes: Partial<BackendReport> = {}, current = true) =>
  backendIs({
    roots: [
      {
        subject: 'CN=ca',
        notBefore: new Date(NOW - 365 * DAY).toISOString(),
        notAfter: new Date(NOW + ms).toISOString(),
        current,
      },
    ],
    ...changes,
  });

describe('checkKubernetes', () => {
  it('finds nothing wrong with a good cluster', () => {
    const findings = checkKubernetes(facts());
    expect(findings.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    expect(findings.length).toBeGreaterThan(20);
  });

  it('says nothing of the cluster when the API server does not answer', () => {
    const { apiServer } = facts();
    const findings = checkKubernetes({
      apiServer: { ...apiServer, version: { state: 'failed', reason: 'refused' } },
      now: NOW,
      cluster: undefined,
    });
    expect(findings.map(({ id, outcome }) => [id, outcome])).toEqual([
      ['kubernetes-api', 'fail'],
      ['kubernetes-version', 'skip'],
    ]);
  });

  const pods = { verb: 'list', group: '', resource: 'pods' };
  const cases: readonly (readonly [string, Partial<ClusterFacts>, CheckId, Outcome, string])[] = [
    [
      'a right of the caller',
      { rights: { ...cluster.rights, caller: known([{ ...pods, allowed: false }]) } },
      'caller-rights',
      'warn',
      'list pods',
    ],
    [
      'a right of the control plane',
      { rights: { ...cluster.rights, controlPlane: known([{ ...pods, allowed: false }]) } },
      'control-plane-rights',
      'fail',
      'ns:cp may not list pods',
    ],
    [
      'rights nobody may ask for',
      { rights: { ...cluster.rights, controlPlane: FORBIDDEN } },
      'control-plane-rights',
      'skip',
      'no rights',
    ],
    [
      'too many rights',
      {
        rights: { ...cluster.rights, tooMuch: known([{ verb: 'get', group: '', resource: 'secrets', allowed: true }]) },
      },
      'control-plane-secrets',
      'warn',
      'may get secrets',
    ],
    ['a definition is missing', { crds: known([]) }, 'crds-present', 'fail', 'meshes.kuma.io'],
    ['an old definition', { crds: known([crd('meshes.kuma.io', 'v1')]) }, 'crds-version', 'fail', 'meshes.kuma.io'],
    [
      'a definition that lacks a field',
      { crds: known([crd('meshes.kuma.io', 'v1alpha1', 'True', { properties: { spec: {} } })]) },
      'crds-version',
      'fail',
      'meshes.kuma.io (no spec.mtls)',
    ],
    [
      'a definition that is not served',
      { crds: known([crd('meshes.kuma.io', 'v1alpha1', 'False')]) },
      'crds-established',
      'fail',
      'meshes.kuma.io',
    ],
    ['definitions nobody may see', { crds: FORBIDDEN }, 'crds-present', 'skip', 'you may not see it'],
    [
      'no webhooks',
      hooksAre({ configurations: [{ name: 'mutating', found: ABSENT, bundles: new Map() }] }),
      'webhooks-present',
      'fail',
      'mutating',
    ],
    [
      'a webhook without a bundle',
      hooksAre({ configurations: [{ name: 'mutating', found: hooks('mutating'), bundles: new Map() }] }),
      'webhooks-ca-bundle',
      'fail',
      'mutating (1 webhooks)',
    ],
    [
      'an expired bundle',
      hooksAre({
        configurations: [
          {
            name: 'mutating',
            found: hooks('mutating'),
            bundles: new Map([['validator', [{ notBefore: 0, notAfter: NOW }]]]),
          },
        ],
      }),
      'webhooks-ca-bundle',
      'fail',
      'expired',
    ],
    [
      'an expired webhook certificate',
      hooksAre({ served: known({ notBefore: 0, notAfter: NOW - DAY * 3, trusted: true, goodForService: true }) }),
      'webhooks-certificate',
      'fail',
      'expired 3 days ago',
    ],
    [
      'one near its end',
      hooksAre({
        served: known({ notBefore: NOW - 10 * DAY, notAfter: NOW + HOUR, trusted: true, goodForService: true }),
      }),
      'webhooks-certificate',
      'fail',
      'was not renewed',
    ],
    [
      'one of another CA',
      hooksAre({ served: known({ ...life, trusted: false, goodForService: true }) }),
      'webhooks-certificate',
      'fail',
      'not signed by the CA',
    ],
    [
      'one for another name',
      hooksAre({ served: known({ ...life, trusted: true, goodForService: false }) }),
      'webhooks-certificate',
      'fail',
      'weft-control-plane.ns.svc',
    ],
    ['one nobody may see', hooksAre({ served: FORBIDDEN }), 'webhooks-certificate', 'skip', 'you may not see it'],
    [
      'a webhook that lets all pass',
      hooksAre({ answer: known({ kind: 'accepted', message: '' }) }),
      'webhooks-answer',
      'fail',
      'nobody validates',
    ],
    [
      'a webhook out of reach',
      hooksAre({ answer: known({ kind: 'unreachable', message: 'x509' }) }),
      'webhooks-answer',
      'fail',
      'x509',
    ],
    [
      'no control plane',
      { controlPlane: { ...cluster.controlPlane, deployment: ABSENT } },
      'control-plane-ready',
      'fail',
      'no Deployment',
    ],
    [
      'no ready Pod',
      { controlPlane: { ...cluster.controlPlane, deployment: known(deployment('cp', '1.0.0', 0)) } },
      'control-plane-ready',
      'fail',
      'none of 1',
    ],
    [
      'one of two ready',
      { controlPlane: { ...cluster.controlPlane, deployment: known(deployment('cp', '1.0.0', 1, 2)) } },
      'control-plane-ready',
      'warn',
      '1 of 2',
    ],
    [
      'scaled to 0',
      { controlPlane: { ...cluster.controlPlane, deployment: known(deployment('cp', '1.0.0', 0, 0)) } },
      'control-plane-ready',
      'fail',
      'scaled to 0',
    ],
    [
      'another version',
      { controlPlane: { ...cluster.controlPlane, version: '2.0.0' } },
      'control-plane-version',
      'warn',
      'is 1.0.0, this program 2.0.0',
    ],
    [
      'no Mesh that uses cert-manager',
      { certManager: { ...cluster.certManager, used: false } },
      'cert-manager-crds',
      'skip',
      'no Mesh',
    ],
    [
      'no cert-manager',
      { certManager: { ...cluster.certManager, crds: known([]) } },
      'cert-manager-crds',
      'fail',
      'not installed',
    ],
    [
      'cert-manager is down',
      { certManager: { ...cluster.certManager, controllers: known([deployment('cert-manager', '1.16.0', 0)]) } },
      'cert-manager-ready',
      'fail',
      'no Pod',
    ],
    [
      'cert-manager runs elsewhere',
      { certManager: { ...cluster.certManager, controllers: known([]) } },
      'cert-manager-ready',
      'skip',
      'elsewhere',
    ],
    [
      'an old cert-manager',
      { certManager: { ...cluster.certManager, controllers: known([deployment('cert-manager', '1.9.0', 1)]) } },
      'cert-manager-version',
      'warn',
      '1.9.0',
    ],
    ['no issuer', issuerIs({ issuer: ABSENT }), 'issuer-exists', 'fail', 'there is no Issuer my-ca-issuer in ns'],
    [
      'no ClusterIssuer',
      issuerIs({ issuer: ABSENT, ref: { ...issuer.ref, kind: 'ClusterIssuer' } }),
      'issuer-exists',
      'fail',
      'there is no ClusterIssuer my-ca-issuer',
    ],
    [
      'an issuer that is not ready',
      issuerIs({ issuer: issuerObject({ ca: {} }, 'False', 'secret "my-ca" not found') }),
      'issuer-ready',
      'fail',
      'secret "my-ca" not found',
    ],
    [
      'an issuer nobody looked at',
      issuerIs({ issuer: known({ metadata: { name: 'i' }, spec: { ca: {} } }) }),
      'issuer-ready',
      'fail',
      'does cert-manager run',
    ],
    ['a self-signed one', issuerIs({ issuer: issuerObject({ selfSigned: {} }) }), 'issuer-type', 'fail', 'own key'],
    ['an ACME one', issuerIs({ issuer: issuerObject({ acme: {} }) }), 'issuer-type', 'fail', 'SPIFFE'],
    [
      'one of another group',
      issuerIs({ ref: { ...issuer.ref, group: 'example.com' } }),
      'issuer-type',
      'ok',
      'example.com',
    ],
    [
      'no approver',
      issuerIs({ approver: known({ user: 'system:serviceaccount:cm:cm', allowed: false }) }),
      'issuer-approval',
      'fail',
      'cm:cm may not approve',
    ],
    [
      'a trial that nobody approves',
      issuerIs({ trial: known({ kind: 'not-approved', message: 'nobody approved' }) }),
      'issuer-trial',
      'fail',
      'nobody approved',
    ],
    [
      'a trial that works',
      issuerIs({ trial: known({ kind: 'issued', message: 'issued in 5 ms' }) }),
      'issuer-trial',
      'ok',
      'issued',
    ],
    ['no proxies', proxiesAre(), 'proxies-connected', 'skip', 'no proxies yet'],
    [
      'a proxy that is not there',
      proxiesAre(proxy(undefined)),
      'proxies-connected',
      'warn',
      '1 of 1 are not connected: default/web.shop',
    ],
    [
      'a NACK',
      proxiesAre(proxy({ ...insight, weft: { ...insight.weft, rejections: [{ message: 'bad listener' }] } })),
      'proxies-in-sync',
      'fail',
      'bad listener',
    ],
    [
      'a configuration that can not be made',
      proxiesAre(proxy({ ...insight, weft: { ...insight.weft, generationFailure: { message: 'bug' } } })),
      'proxies-in-sync',
      'fail',
      'bug',
    ],
    [
      'no answer yet',
      proxiesAre(proxy({ ...insight, weft: { ...insight.weft, inSync: false } })),
      'proxies-in-sync',
      'warn',
      'not answered yet',
    ],
    [
      'a failing issuance',
      proxiesAre(proxy({ ...insight, weft: { ...insight.weft, issuanceFailure: { message: 'denied' } } })),
      'leaves-issued',
      'fail',
      'denied',
    ],
    [
      'an expired leaf',
      proxiesAre(proxy({ ...insight, mTLS: { certificateExpirationTime: '2025-12-31T23:59:59Z' } })),
      'leaves-valid',
      'fail',
      '1 of 1 have an expired one',
    ],
    [
      'a leaf that was not renewed',
      proxiesAre(proxy({ ...insight, mTLS: { certificateExpirationTime: '2026-01-01T00:30:00Z' } })),
      'leaves-valid',
      'fail',
      'should have been replaced',
    ],
    [
      'no leaf',
      proxiesAre(proxy({ ...insight, mTLS: undefined, weft: { inSync: true } })),
      'leaves-valid',
      'fail',
      'have none',
    ],
    ['a CA near its end', caEndsIn(20 * DAY), 'ca-valid', 'fail', 'CN=ca expires in 20 days'],
    ['a CA that nobody uses any more', caEndsIn(20 * DAY, { enabled: false }), 'ca-valid', 'warn', 'CN=ca'],
    [
      'a backend that fails',
      backendIs({ state: 'Failing', message: 'Issuer "x" does not exist' }),
      'backend-ready',
      'fail',
      'does not exist',
    ],
    [
      'one that fails and does not issue',
      backendIs({ state: 'Failing', enabled: false, message: 'no' }),
      'backend-ready',
      'warn',
      'no',
    ],
    ['one that starts', backendIs({ state: 'Starting' }), 'backend-ready', 'warn', 'Starting'],
    ['an expired CA', caEndsIn(-DAY * 3), 'ca-valid', 'fail', 'expired 3 days ago'],
  ];

  it.each(cases)('%s', (_what, changes, id, outcome, message) => {
    const found = checkKubernetes(facts(changes)).filter((one) => one.id === id);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ outcome, message: expect.stringContaining(message) });
    if (outcome === 'fail') expect(found[0]?.hint, 'a failure has a hint').toBeTruthy();
  });

  it('is silent about a CA that only stays for old leaves', () => {
    expect(checkKubernetes(facts(caEndsIn(DAY, {}, false))).filter(({ id }) => id === 'ca-valid')).toEqual([]);
  });

  it('names only some of many proxies', () => {
    const many = Array.from({ length: 1000 }, (_, index) => proxy(undefined, `web-${index}.shop`));
    const [connected] = checkKubernetes(facts(proxiesAre(...many))).filter(({ id }) => id === 'proxies-connected');
    expect(connected?.message).toMatch(/^1000 of 1000 .* and 995 more$/);
  });

  it('prints the grant that an approver needs, for the very signer', () => {
    const changes = issuerIs({
      approver: known({ user: 'system:serviceaccount:cm:approver', allowed: false }),
      ref: { name: 'pca', kind: 'AWSPCAClusterIssuer', group: 'awspca.cert-manager.io' },
    });
    const hint = checkKubernetes(facts(changes)).find(({ id }) => id === 'issuer-approval')?.hint;
    expect(hint).toContain('resourceNames: ["awspcaclusterissuers.awspca.cert-manager.io/pca"]');
    expect(hint).toContain('- kind: ServiceAccount\n  name: approver\n  namespace: cm\n');
  });
});
