/** Asks a cluster for everything that `weft check` judges. Reads only, but for one dry run, and requests of `--issue`. */
import type { KubeClient } from '../../k8s/api/client.ts';
import { KubeError } from '../../k8s/api/client.ts';
import { CUSTOM_RESOURCE_DEFINITION, crds } from '../../k8s/api/crds.ts';
import type { KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { Threshold } from '../../lib/expiry-threshold.ts';
import { policyKinds } from '../../policies/index.ts';
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import { coreKinds } from '../../resources/kinds/index.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import type { ClockReading, NodeClock } from './api-server.ts';
import { ask } from './ask.ts';
import { type BackendEntry, backendsOf, issuerRefOf, type MeshEntry, mtlsMeshesOf } from './backends.ts';
import type { BackendReport } from './cas.ts';
import { CERT_MANAGER_CRDS, CONTROLLER_LABEL } from './cert-manager.ts';
import { CONTROL_PLANE } from './control-plane.ts';
import type { ExpectedCrd } from './crds.ts';
import { ABSENT, type Fact, factValue, known } from './fact.ts';
import { gatherWebhooks } from './gather-webhooks.ts';
import { type Approver, type IssuerFacts, type IssuerRef, signerName } from './issuers.ts';
import {
  type Crd,
  DATAPLANE_INSIGHTS,
  DATAPLANES,
  DEPLOYMENTS,
  type Deployment,
  type Issuer,
  LEASES,
  type Lease,
  MESHES,
  type MeshObject,
  SERVICE_ACCOUNTS,
} from './kube-objects.ts';
import type { ClusterFacts, KubernetesFacts } from './kubernetes-facts.ts';
import type { ProxyState } from './proxies.ts';
import type { Right, RightAnswer } from './rights.ts';
import { callerRights, controlPlaneRights, excessiveRights } from './rights-wanted.ts';
import { tryIssuer } from './trial.ts';

export interface GatherOptions {
  readonly client: KubeClient;
  /** Namespace of the control plane. */
  readonly namespace: string;
  /** Version of this program. */
  readonly version: string;
  readonly leafThreshold: Threshold;
  readonly caThreshold: Threshold;
  /** Ask each issuer for a throw-away certificate, and wait so long for it. */
  readonly trialMs: number | undefined;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

const COMPONENT = 'app.kubernetes.io/component';

/** All facts of a cluster, in two rounds of parallel questions. What can't be read is a fact too. */
export async function gatherKubernetes(options: GatherOptions): Promise<KubernetesFacts> {
  const { client, signal } = options;
  const version = await ask(
    client
      .raw<{ gitVersion: string }>({ method: 'GET', path: '/version', signal })
      .then(({ gitVersion }) => gitVersion),
  );
  const unasked = { state: 'failed', reason: 'the API server does not answer' } as const;
  if (version.state !== 'known') {
    const apiServer = { server: client.server, version, clock: unasked, nodes: unasked };
    return { apiServer, now: options.now(), cluster: undefined };
  }
  const [clock, nodes] = await Promise.all([ask(readClock(options)), ask(readNodeClocks(options))]);
  const now = factValue(clock)?.serverTime ?? options.now();
  return {
    apiServer: { server: client.server, version, clock, nodes },
    now,
    cluster: await gatherCluster(options, now),
  };
}

async function gatherCluster(options: GatherOptions, now: number): Promise<ClusterFacts> {
  const { client, namespace, signal } = options;
  const controlPlaneUser = `system:serviceaccount:${namespace}:${CONTROL_PLANE}`;
  const expectedCrds = expectedDefinitions();
  const [
    meshes,
    controllers,
    proxies,
    caller,
    controlPlane,
    tooMuch,
    definitions,
    certManagerCrds,
    webhooks,
    deployment,
  ] = await Promise.all([
    ask(listMeshes(options)),
    ask(listAll<Deployment>(client, DEPLOYMENTS, signal, { labelSelector: CONTROLLER_LABEL })),
    ask(listProxies(options)),
    ask(reviewAll(options, undefined, callerRights(namespace))),
    ask(reviewAll(options, controlPlaneUser, controlPlaneRights(namespace))),
    ask(reviewAll(options, controlPlaneUser, excessiveRights())),
    getAll<Crd>(
      client,
      CUSTOM_RESOURCE_DEFINITION,
      expectedCrds.map(({ name }) => name),
      signal,
    ),
    getAll<Crd>(
      client,
      CUSTOM_RESOURCE_DEFINITION,
      CERT_MANAGER_CRDS.map(({ name }) => name),
      signal,
    ),
    gatherWebhooks({ client, namespace, threshold: options.leafThreshold, now, signal }),
    ask(client.get<Deployment>(DEPLOYMENTS, { namespace, name: CONTROL_PLANE }, { signal })),
  ]);
  const backends = backendsOf(factValue(meshes) ?? []);
  const issuers = await gatherIssuers(options, backends, controllers);
  return {
    rights: { caller, controlPlaneUser, controlPlane, tooMuch },
    crds: definitions,
    expectedCrds,
    webhooks,
    controlPlane: { namespace, deployment, version: options.version },
    certManager: {
      used: backends.some(({ backend }) => backend.type === 'certmanager'),
      crds: certManagerCrds,
      controllers,
    },
    issuers,
    proxies: {
      proxies,
      mtlsMeshes: mtlsMeshesOf(factValue(meshes) ?? []),
      threshold: options.leafThreshold,
      now,
      inspect: 'kubectl get dataplaneinsights -A',
    },
    backends: (factValue(meshes) ?? [])
      .filter(({ spec }) => (spec.mtls?.backends ?? []).length > 0)
      .map(({ name, reports }) => ({
        mesh: name,
        backends: reports === undefined ? UNREPORTED : known(reports),
        threshold: options.caThreshold,
        now,
      })),
  };
}

/** The API server says in this answer when it made it. */
async function readClock({ client, now, signal }: GatherOptions): Promise<ClockReading> {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const sentAt = now();
  const answer = await client.raw<KubeObject>({ method: 'POST', path, body, signal });
  const serverTime = Date.parse(answer.metadata.creationTimestamp ?? '');
  if (Number.isNaN(serverTime)) throw new KubeError('unavailable', 'its answer has no time');
  return { sentAt, receivedAt: now(), serverTime };
}

async function readNodeClocks({ client, signal }: GatherOptions): Promise<readonly NodeClock[]> {
  const leases = await listAll<Lease>(client, LEASES, signal, { namespace: 'kube-node-lease' });
  return leases.flatMap(({ metadata, spec }) => {
    const renewedAt = Date.parse(spec?.renewTime ?? '');
    return Number.isNaN(renewedAt) ? [] : [{ name: metadata.name, renewedAt }];
  });
}

/** Definitions that this version installs. */
function expectedDefinitions(): readonly ExpectedCrd[] {
  return crds([...coreKinds, ...policyKinds]).map(({ metadata, spec: { versions } }) => ({
    name: metadata.name,
    version: versions[0].name,
    schema: versions[0].schema.openAPIV3Schema,
  }));
}

const UNREPORTED = { state: 'failed', reason: 'no control plane has said so yet' } as const;

type ReportedMesh = MeshEntry & { readonly reports: readonly BackendReport[] | undefined };

async function listMeshes({ client, signal }: GatherOptions): Promise<readonly ReportedMesh[]> {
  const meshes = await listAll<MeshObject>(client, MESHES, signal);
  return meshes.map(({ metadata, spec, status }) => ({
    name: metadata.name,
    spec: (spec ?? {}) as MeshSpec,
    reports: status?.mtls?.backends,
  }));
}

async function listProxies({ client, namespace, signal }: GatherOptions): Promise<readonly ProxyState[]> {
  const [dataplanes, insights] = await Promise.all([
    listAll<KubeObject & { readonly mesh?: string }>(client, DATAPLANES, signal),
    listAll<KubeObject & { readonly status?: DataplaneInsightSpec }>(client, DATAPLANE_INSIGHTS, signal),
  ]);
  const placeOf = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`;
  const insightAt = new Map(insights.map((insight) => [placeOf(insight), insight.status]));
  return dataplanes.map((dataplane) => ({
    mesh: dataplane.mesh ?? 'default',
    name:
      dataplane.metadata.namespace === namespace
        ? dataplane.metadata.name
        : `${dataplane.metadata.name}.${dataplane.metadata.namespace}`,
    insight: insightAt.get(placeOf(dataplane)),
  }));
}

/** The answers to questions of what `user` may do, of the caller when `undefined`. */
function reviewAll(
  { client, signal }: GatherOptions,
  user: string | undefined,
  rights: readonly Right[],
): Promise<readonly RightAnswer[]> {
  return Promise.all(rights.map(async (right) => ({ ...right, allowed: await review(client, user, right, signal) })));
}

async function review(
  client: KubeClient,
  user: string | undefined,
  right: Right,
  signal: AbortSignal,
): Promise<boolean> {
  const { resource, ...where } = right;
  const [plural, subresource] = resource.split('/');
  const kind = user === undefined ? 'SelfSubjectAccessReview' : 'SubjectAccessReview';
  const answer = await client.raw<{ readonly status?: { readonly allowed?: boolean } }>({
    method: 'POST',
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind,
      spec: {
        ...(user === undefined ? {} : { user, groups: groupsOf(user) }),
        resourceAttributes: { ...where, resource: plural, ...(subresource === undefined ? {} : { subresource }) },
      },
    },
    signal,
  });
  return answer.status?.allowed === true;
}

/** The groups that the API server gives a ServiceAccount. */
function groupsOf(user: string): readonly string[] {
  const namespace = user.split(':')[2] ?? '';
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
}

async function gatherIssuers(
  options: GatherOptions,
  backends: readonly BackendEntry[],
  controllers: Fact<readonly Deployment[]>,
): Promise<readonly IssuerFacts[]> {
  const approver = await findApprover(options, controllers);
  return Promise.all(
    backends.flatMap(({ mesh, backend, enabled }) => {
      const ref = issuerRefOf(backend);
      return ref === undefined ? [] : [gatherIssuer(options, { mesh, backend: backend.name, enabled, ref }, approver)];
    }),
  );
}

async function gatherIssuer(
  options: GatherOptions,
  of: Pick<IssuerFacts, 'mesh' | 'backend' | 'enabled' | 'ref'>,
  approver: Fact<string>,
): Promise<IssuerFacts> {
  const { client, namespace, signal } = options;
  const { ref } = of;
  const [issuer, mayApprove] = await Promise.all([
    issuerType(client, ref, signal).then((type) =>
      type.state === 'known'
        ? ask(
            client.get<Issuer>(
              type.value,
              { name: ref.name, ...(type.value.namespaced ? { namespace } : {}) },
              { signal },
            ),
          )
        : type,
    ),
    reviewApprover(options, ref, approver),
  ]);
  const trial =
    options.trialMs === undefined || issuer.state !== 'known'
      ? {}
      : { trial: await ask(tryIssuer({ client, namespace, ref, mesh: of.mesh, timeoutMs: options.trialMs, signal })) };
  return { ...of, namespace, issuer, approver: mayApprove, ...trial };
}

/** The collection of a kind of issuer: cert-manager's own are known, those of other groups are looked up. */
async function issuerType(client: KubeClient, ref: IssuerRef, signal: AbortSignal): Promise<Fact<ResourceType>> {
  const groups = await ask(
    client.raw<{ readonly preferredVersion: { readonly version: string } }>({
      method: 'GET',
      path: `/apis/${encodeURIComponent(ref.group)}`,
      signal,
    }),
  );
  if (groups.state !== 'known') return groups;
  const { version } = groups.value.preferredVersion;
  const list = await ask(
    client.raw<{
      readonly resources: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
    }>({ method: 'GET', path: `/apis/${encodeURIComponent(ref.group)}/${version}`, signal }),
  );
  if (list.state !== 'known') return list;
  const found = list.value.resources.find(({ kind, name }) => kind === ref.kind && !name.includes('/'));
  if (found === undefined) return ABSENT;
  return known({ group: ref.group, version, plural: found.name, kind: ref.kind, namespaced: found.namespaced });
}

/** cert-manager's own ServiceAccount, which approves unless that was switched off: its Deployment's, else the one of its usual name. */
async function findApprover(
  { client, signal }: GatherOptions,
  controllers: Fact<readonly Deployment[]>,
): Promise<Fact<string>> {
  if (controllers.state !== 'known') return controllers;
  const main = controllers.value.find(({ metadata }) => metadata.labels?.[COMPONENT] === 'controller');
  const found = main ?? controllers.value[0];
  if (found !== undefined) {
    const account = found.spec.template.spec.serviceAccountName ?? 'default';
    return known(`system:serviceaccount:${found.metadata.namespace}:${account}`);
  }
  const usual = await ask(
    client.get(SERVICE_ACCOUNTS, { namespace: 'cert-manager', name: 'cert-manager' }, { signal }),
  );
  if (usual.state === 'known') return known('system:serviceaccount:cert-manager:cert-manager');
  return { state: 'failed', reason: "cert-manager's Deployment was not found" };
}

async function reviewApprover(options: GatherOptions, ref: IssuerRef, approver: Fact<string>): Promise<Fact<Approver>> {
  if (approver.state !== 'known') return approver;
  const right = { verb: 'approve', group: 'cert-manager.io', resource: 'signers' };
  const plural = `${ref.kind.toLowerCase()}s.${ref.group}`;
  const answers = await ask(
    reviewAll(options, approver.value, [
      { ...right, name: signerName(ref, options.namespace) },
      { ...right, name: `${plural}/*` },
    ]),
  );
  if (answers.state !== 'known') return answers;
  return known({ user: approver.value, allowed: answers.value.some(({ allowed }) => allowed) });
}

/** Those of the named objects that are there. */
async function getAll<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Fact<readonly T[]>> {
  const answers = await Promise.all(names.map((name) => ask(client.get<T>(type, { name }, { signal }))));
  const unreadable = answers.find(({ state }) => state === 'forbidden' || state === 'failed');
  if (unreadable !== undefined && unreadable.state !== 'known') return unreadable;
  return known(answers.flatMap((answer) => (answer.state === 'known' ? [answer.value] : [])));
}

const PAGE = 500;

async function listAll<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  signal: AbortSignal,
  where: { readonly namespace?: string; readonly labelSelector?: string } = {},
): Promise<readonly T[]> {
  const items: T[] = [];
  let next: string | undefined;
  do {
    const page = await client.list<T>(type, {
      ...where,
      limit: PAGE,
      signal,
      ...(next === undefined ? {} : { continue: next }),
    });
    items.push(...page.items);
    next = page.continue === '' ? undefined : page.continue;
  } while (next !== undefined);
  return items;
}
