/** From a Pod and its Services to the Dataplane of the same name. Source: compatibility reference 6; Kuma 2.11 `pod_converter.go`. */
import { isIPv4 } from 'node:net';
import type { Kind } from '../../resources/kind.ts';
import {
  type DataplaneInbound,
  type DataplaneNetworking,
  type DataplaneSpec,
  dataplaneKind,
} from '../../resources/kinds/dataplane.ts';
import { validateDataplane } from '../../resources/kinds/dataplane-validate.ts';
import type { MeshSpec } from '../../resources/kinds/mesh.ts';
import { PROTOCOL_TAG } from '../../resources/kinds/tags.ts';
import { computeLabels } from '../../resources/labels.ts';
import { membershipProblem } from '../../resources/membership.ts';
import type { Resource } from '../../resources/resource.ts';
import {
  LABEL_DISPLAY_NAME,
  LABEL_ENV,
  LABEL_MESH,
  LABEL_NAMESPACE,
  LABEL_ORIGIN,
  LABEL_PROXY_TYPE,
  LABEL_ZONE,
} from '../../resources/well-known.ts';
import { AnnotationError, flagAnnotation, portAnnotation } from '../api/annotations.ts';
import type { Namespace, Node, Pod, Service } from '../api/core-kinds.ts';
import { meshOfPod } from '../inject/decide.ts';
import { firstOfEachPort, inboundsOf } from './inbounds.ts';
import { goneReason } from './pod-status.ts';
import { servicesOf } from './services.ts';
import { transparentProxyingOf } from './transparent-proxying.ts';
import { virtualProbesOf } from './virtual-probes.ts';

const INJECTED = 'kuma.io/sidecar-injected';
const GATEWAY = 'kuma.io/gateway';
const ADMIN_PORT = 'kuma.io/envoy-admin-port';
/** Source: Kuma 2.12; tells the authentication of proxies whose token to expect. */
export const SERVICE_ACCOUNT_LABEL = 'k8s.kuma.io/service-account';
const LONGEST_LABEL = 63;

/** The objects around one Pod. */
export interface PodFacts {
  readonly pod: Pod;
  /** The Pod's. */
  readonly namespace: Namespace | undefined;
  /** All of the namespace. */
  readonly services: Iterable<Service>;
  /** The Pod's, when known. */
  readonly node: Node | undefined;
}

export interface DataplaneContext {
  readonly zone: string;
  readonly systemNamespace: string;
  /** Labels of a Node that become tags of its Pods. */
  readonly nodeLabelsToCopy: readonly string[];
  /** Labels of a Service's selector that do not decide who is behind it: a Pod that lacks them is an `Ignored` inbound. */
  readonly ignoredServiceSelectorLabels: readonly string[];
  /** `undefined`: there is no such Mesh. */
  readonly mesh: (name: string) => MeshSpec | undefined;
}

export type DataplaneOutcome =
  | { readonly kind: 'dataplane'; readonly dataplane: Resource<DataplaneSpec> }
  /** Not part of a mesh, or not as a sidecar. */
  | { readonly kind: 'outside' }
  /** No Dataplane any more, or not yet. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** It should be one and cannot; the reason is for the owner of the Pod. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Only Pods that the injector marked. Throws `AnnotationError`. */
function isInjected({ metadata: { annotations } }: Pod): boolean {
  return flagAnnotation(annotations, INJECTED) === true;
}

/** Pure. */
export function dataplaneOf(facts: PodFacts, context: DataplaneContext): DataplaneOutcome {
  try {
    if (!isInjected(facts.pod)) return { kind: 'outside' };
    const gone = goneReason(facts.pod);
    if (gone !== undefined) return { kind: 'gone', reason: gone };
    return liveDataplane(facts, context);
  } catch (error) {
    if (error instanceof AnnotationError) return refused(error.message);
    throw error;
  }
}

function refused(reason: string): DataplaneOutcome {
  return { kind: 'refused', reason };
}

function liveDataplane(facts: PodFacts, context: DataplaneContext): DataplaneOutcome {
  const { pod, namespace } = facts;
  const meshName = meshOfPod(pod, namespace?.metadata);
  const mesh = context.mesh(meshName);
  if (mesh === undefined)
    return refused(`mesh "${meshName}" does not exist; create it, or correct the label ${LABEL_MESH}`);
  const spec = specOf(facts, context, mesh);
  const violations = validateDataplane(spec).map(({ field, message }) => `${field}: ${message}`);
  if (violations.length > 0) return refused(violations.join('; '));
  const membership = membershipProblem(meshName, mesh, spec);
  if (membership !== undefined) return refused(membership);
  return { kind: 'dataplane', dataplane: resourceOf(pod, meshName, spec, context) };
}

function specOf({ pod, services, node }: PodFacts, context: DataplaneContext, mesh: MeshSpec): DataplaneSpec {
  const { annotations } = pod.metadata;
  const inbounds = inboundsOf(pod, servicesOf(pod, services, context.ignoredServiceSelectorLabels), {
    zone: context.zone,
    nodeLabels: nodeLabelsOf(node, context.nodeLabelsToCopy),
  });
  const transparentProxying = transparentProxyingOf(annotations);
  const adminPort = portAnnotation(annotations, ADMIN_PORT);
  const probes = virtualProbesOf(pod);
  const networking: DataplaneNetworking = {
    address: addressOf(pod, transparentProxying?.ipFamilyMode === 'IPv4'),
    ...(isDelegatedGateway(pod)
      ? { gateway: { type: 'DELEGATED', tags: gatewayTags(inbounds[0]) } }
      : { inbound: mesh.meshServices?.mode === 'Exclusive' ? firstOfEachPort(inbounds) : inbounds }),
    ...(transparentProxying === undefined ? {} : { transparentProxying }),
    ...(adminPort === undefined ? {} : { admin: { port: adminPort } }),
  };
  return { networking, ...(probes === undefined ? {} : { probes }) };
}

/** Throws `AnnotationError` for a gateway that is no delegated one. */
function isDelegatedGateway({ metadata: { annotations } }: Pod): boolean {
  const type = annotations?.[GATEWAY];
  if (type === undefined || type === 'enabled') return type !== undefined;
  if (type === 'builtin') throw new AnnotationError(GATEWAY, 'builtin gateways are not supported');
  throw new AnnotationError(GATEWAY, `invalid delegated gateway type '${type}'`);
}

/** Tags of the first inbound; a gateway speaks TCP to the mesh, whatever its clients speak to it. */
function gatewayTags({ tags = {} }: DataplaneInbound): Readonly<Record<string, string>> {
  if (tags[PROTOCOL_TAG] === 'tcp') return tags;
  const { [PROTOCOL_TAG]: _protocol, ...others } = tags;
  return others;
}

/** The Pod's first address; its first IPv4 one when only IPv4 is redirected. */
function addressOf({ status }: Pod, ipv4Only: boolean): string {
  const primary = status?.podIP ?? '';
  if (!ipv4Only || isIPv4(primary)) return primary;
  return status?.podIPs?.find(({ ip }) => isIPv4(ip))?.ip ?? primary;
}

function nodeLabelsOf(node: Node | undefined, wanted: readonly string[]): Readonly<Record<string, string>> {
  const labels = node?.metadata.labels ?? {};
  return Object.fromEntries(wanted.flatMap((label) => (labels[label] ? [[label, labels[label]]] : [])));
}

/** Labels that say where a Dataplane comes from; a Pod cannot set them. */
const COMPUTED = new Set([
  LABEL_MESH,
  LABEL_ORIGIN,
  LABEL_ZONE,
  LABEL_ENV,
  LABEL_NAMESPACE,
  LABEL_DISPLAY_NAME,
  LABEL_PROXY_TYPE,
  SERVICE_ACCOUNT_LABEL,
]);

/** As the store knows it: `<pod>.<namespace>`, but plain `<pod>` in the system namespace. */
function resourceOf(
  { metadata, spec: podSpec }: Pod,
  mesh: string,
  spec: DataplaneSpec,
  context: DataplaneContext,
): Resource<DataplaneSpec> {
  const { name, namespace = '' } = metadata;
  const serviceAccount = podSpec?.serviceAccountName || 'default';
  const labels = {
    ...Object.fromEntries(Object.entries(metadata.labels ?? {}).filter(([key]) => !COMPUTED.has(key))),
    ...(serviceAccount.length > LONGEST_LABEL ? {} : { [SERVICE_ACCOUNT_LABEL]: serviceAccount }),
    ...(namespace === context.systemNamespace ? {} : { [LABEL_NAMESPACE]: namespace, [LABEL_DISPLAY_NAME]: name }),
  };
  const resource: Resource<DataplaneSpec> = {
    type: dataplaneKind.type,
    meta: {
      mesh,
      name: namespace === context.systemNamespace ? name : `${name}.${namespace}`,
      labels,
      creationTime: '',
      modificationTime: '',
      version: '',
    },
    spec,
  };
  const computed = computeLabels(dataplaneKind as Kind, resource, {
    mode: 'zone',
    federated: false,
    zone: context.zone,
    environment: 'kubernetes',
  });
  return { ...resource, meta: { ...resource.meta, labels: computed } };
}
