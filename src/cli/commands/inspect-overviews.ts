import { asJson, asList, asNumber, asText, findJson, type Json } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { agoText, dateText, tagsText } from '../output/cells.ts';
import { dataplaneTags } from './get.ts';

/** One list that `inspect` knows: where it comes from and its columns. Source: compatibility reference 10, Kuma 2.11-2.14 `kumactl inspect`. */
export interface OverviewView {
  /** REST path, below the mesh when `inMesh`. */
  readonly path: readonly string[];
  readonly inMesh: boolean;
  readonly headers: readonly string[];
  readonly row: (item: Json, now: number) => readonly string[];
  /** What else there is to know of each item, added to it. */
  readonly complete?: (client: ApiClient, item: Json) => Promise<Json>;
}

const online = (subscriptions: readonly Json[]) =>
  subscriptions.some((one) => one['connectTime'] !== undefined && one['disconnectTime'] === undefined);

/** The subscription that connected last, or an empty object. */
function lastOf(subscriptions: readonly Json[]): Json {
  return subscriptions.reduce<Json>(
    (last, one) =>
      Date.parse(asText(one['connectTime'])) >= (Date.parse(asText(last['connectTime'])) || 0) ? one : last,
    {},
  );
}

const totalOf = (subscriptions: readonly Json[], counter: string) =>
  String(subscriptions.reduce((sum, one) => sum + asNumber(asJson(asJson(one['status'])['total'])[counter]), 0));

/** Cells that every kind of proxy and zone has. */
function connectionCells(subscriptions: readonly Json[], now: number): readonly string[] {
  const last = lastOf(subscriptions);
  return [
    agoText(last['connectTime'], now),
    agoText(asJson(last['status'])['lastUpdateTime'], now),
    totalOf(subscriptions, 'responsesSent'),
    totalOf(subscriptions, 'responsesRejected'),
  ];
}

const versionOf = (subscriptions: readonly Json[], program: string) =>
  asText(asJson(asJson(lastOf(subscriptions)['version'])[program])['version']);

const CONNECTION = ['LAST CONNECTED AGO', 'LAST UPDATED AGO', 'TOTAL UPDATES', 'TOTAL ERRORS'];

/** Status of a proxy with the reasons that keep it from being online. Source: compatibility reference 4.1. */
export function dataplaneStatus(overview: Json): { readonly status: string; readonly notes: readonly string[] } {
  const networking = asJson(asJson(overview['dataplane'])['networking']);
  const isOnline = online(asList(asJson(overview['dataplaneInsight'])['subscriptions']));
  if (networking['gateway'] !== undefined) return { status: isOnline ? 'Online' : 'Offline', notes: [] };
  const inbounds = asList(networking['inbound']);
  const broken = inbounds.filter((one) => {
    const health = one['health'];
    return (health !== undefined && asJson(health)['ready'] !== true) || one['state'] === 'NotReady';
  });
  const notes = broken.map(
    (one) =>
      `inbound[port=${asNumber(one['port'])},svc=${asText(asJson(one['tags'])['kuma.io/service'])}] is not ready`,
  );
  if (!isOnline || broken.length === inbounds.length) return { status: 'Offline', notes };
  return { status: broken.length > 0 ? 'Partially degraded' : 'Online', notes };
}

function dataplaneRow(overview: Json, now: number): readonly string[] {
  const insight = asJson(overview['dataplaneInsight']);
  const subscriptions = asList(insight['subscriptions']);
  const mtls = insight['mTLS'] === undefined ? undefined : asJson(insight['mTLS']);
  const { status, notes } = dataplaneStatus(overview);
  const dependencies = Object.entries(asJson(asJson(lastOf(subscriptions)['version'])['dependencies'])).map(
    ([name, version]) => `${name}: ${version}`,
  );
  const supported = mtls?.['supportedBackends'];
  return [
    asText(overview['mesh']),
    asText(overview['name']),
    tagsText(dataplaneTags(asJson(overview['dataplane']))),
    status,
    ...connectionCells(subscriptions, now),
    agoText(mtls?.['lastCertificateRegeneration'], now),
    dateText(mtls?.['certificateExpirationTime']),
    String(asNumber(mtls?.['certificateRegenerations'])),
    mtls === undefined ? '-' : asText(mtls['issuedBackend']),
    Array.isArray(supported) ? supported.join(',') : '',
    versionOf(subscriptions, 'kumaDp'),
    versionOf(subscriptions, 'envoy'),
    dependencies.join(', ') || '-',
    notes.join(';'),
  ];
}

const OLD_POLICIES = [
  'TrafficPermission',
  'TrafficRoute',
  'CircuitBreaker',
  'HealthCheck',
  'FaultInjection',
  'ExternalService',
  'TrafficTrace',
  'TrafficLog',
  'ProxyTemplate',
  'RateLimit',
];

/** `item` with what its control plane says of its CA backends as `caBackends`. Kuma's has no such path: without, then. */
async function withCaBackends(client: ApiClient, item: Json): Promise<Json> {
  const name = asText(item['name']);
  const state = await findJson(client, {
    method: 'GET',
    path: ['meshes', name, '_mtls'],
    doing: `ask for the CA backends of mesh ${name}`,
  });
  return state === undefined ? item : { ...item, caBackends: state['backends'] };
}

/** How the backend that issues is: `ca-1: Ready`, `ca-1: Failing, IssuerNotFound`. */
function caBackendText(mesh: Json): string {
  if (mesh['caBackends'] === undefined) return '-';
  const issuing = asList(mesh['caBackends']).find((backend) => backend['enabled'] === true);
  if (issuing === undefined) return 'mTLS off';
  const [name, state, reason] = [issuing['name'], issuing['state'], issuing['reason']].map(asText);
  return state === reason ? `${name}: ${state}` : `${name}: ${state}, ${reason}`;
}

const onlineOfTotal = (counts: Json) => `${asNumber(counts['online'])}/${asNumber(counts['total'])}`;

/** `online` -> `Online`, `partially_degraded` -> `Partially degraded`; anything else is offline, as kumactl sees it. */
const serviceStatus = (status: unknown) =>
  status === 'online' ? 'Online' : status === 'partially_degraded' ? 'Partially degraded' : 'Offline';

function zoneRow(overview: Json, now: number): readonly string[] {
  const subscriptions = asList(asJson(overview['zoneInsight'])['subscriptions']);
  const enabled = asJson(overview['zone'])['enabled'] !== false;
  return [
    asText(overview['name']),
    enabled && online(subscriptions) ? 'Online' : 'Offline',
    ...connectionCells(subscriptions, now),
    versionOf(subscriptions, 'kumaCp'),
    storeOf(asText(lastOf(subscriptions)['config'])),
  ];
}

/** Store type in the configuration that a zone reported; '' when it reported none. */
function storeOf(config: string): string {
  if (config === '') return '';
  try {
    return asText(asJson(asJson(JSON.parse(config))['store'])['type']);
  } catch {
    // A zone may run a version whose configuration is no JSON: the cell stays empty.
    return '';
  }
}

function zoneProxy(collection: string, insight: string): OverviewView {
  return {
    path: [collection, '_overview'],
    inMesh: false,
    headers: ['NAME', 'STATUS', ...CONNECTION, 'KUMA-DP VERSION', 'ENVOY VERSION'],
    row: (overview, now) => {
      const subscriptions = asList(asJson(overview[insight])['subscriptions']);
      const status = online(subscriptions) ? 'Online' : 'Offline';
      const versions = [versionOf(subscriptions, 'kumaDp'), versionOf(subscriptions, 'envoy')];
      return [asText(overview['name']), status, ...connectionCells(subscriptions, now), ...versions];
    },
  };
}

export const OVERVIEWS: Readonly<Record<string, OverviewView>> = {
  dataplanes: {
    path: ['dataplanes', '_overview'],
    inMesh: true,
    headers: [
      'MESH',
      'NAME',
      'TAGS',
      'STATUS',
      ...CONNECTION,
      'CERT REGENERATED AGO',
      'CERT EXPIRATION',
      'CERT REGENERATIONS',
      'CERT BACKEND',
      'SUPPORTED CERT BACKENDS',
      'KUMA-DP VERSION',
      'ENVOY VERSION',
      'DEPENDENCIES VERSIONS',
      'NOTES',
    ],
    row: dataplaneRow,
  },
  meshes: {
    path: ['mesh-insights'],
    inMesh: false,
    headers: [
      'MESH',
      'DATAPLANES',
      ...OLD_POLICIES.map(
        (type) =>
          `${type
            .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
            .toUpperCase()
            .replace(/Y$/, 'IE')}S`,
      ),
      'CA BACKEND',
    ],
    row: (item) => [
      asText(item['name']),
      onlineOfTotal(asJson(item['dataplanes'])),
      ...OLD_POLICIES.map((type) => String(asNumber(asJson(asJson(item['policies'])[type])['total']))),
      caBackendText(item),
    ],
    complete: withCaBackends,
  },
  services: {
    path: ['service-insights'],
    inMesh: true,
    headers: ['SERVICE', 'STATUS', 'DATAPLANES'],
    row: (item) => [asText(item['name']), serviceStatus(item['status']), onlineOfTotal(asJson(item['dataplanes']))],
  },
  zones: {
    path: ['zones', '_overview'],
    inMesh: false,
    headers: ['NAME', 'STATUS', ...CONNECTION, 'ZONE-CP VERSION', 'BACKEND'],
    row: zoneRow,
  },
  zoneingresses: zoneProxy('zoneingresses', 'zoneIngressInsight'),
  zoneegresses: zoneProxy('zoneegresses', 'zoneEgressInsight'),
};
