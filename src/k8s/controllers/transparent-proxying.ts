/** The `transparentProxying` block out of a Pod's annotations. Source: Kuma 2.11 `pod_converter.go`. */

import type { DataplaneNetworking } from '../../resources/kinds/dataplane.ts';
import { isJsonObject } from '../../resources/plain-json.ts';
import { parseYamlDocuments } from '../../resources/yaml.ts';
import {
  AnnotationError,
  type Annotations,
  flagAnnotation,
  listAnnotation,
  portAnnotation,
} from '../api/annotations.ts';

type TransparentProxying = NonNullable<DataplaneNetworking['transparentProxying']>;
type ReachableBackends = NonNullable<TransparentProxying['reachableBackends']>;

const ENABLED = 'kuma.io/transparent-proxying';
const INBOUND_PORT = 'kuma.io/transparent-proxying-inbound-port';
const OUTBOUND_PORT = 'kuma.io/transparent-proxying-outbound-port';
const FAMILY = 'kuma.io/transparent-proxying-ip-family-mode';
const DIRECT_ACCESS = 'kuma.io/direct-access-services';
const REACHABLE_SERVICES = 'kuma.io/transparent-proxying-reachable-services';
const REACHABLE_BACKENDS = 'kuma.io/reachable-backends';

/** `undefined` when the Pod's traffic is not redirected. Throws `AnnotationError`. */
export function transparentProxyingOf(annotations: Annotations): TransparentProxying | undefined {
  if (flagAnnotation(annotations, ENABLED) !== true) return undefined;
  const redirectPortInbound = portAnnotation(annotations, INBOUND_PORT);
  const redirectPortOutbound = portAnnotation(annotations, OUTBOUND_PORT);
  if (redirectPortInbound === undefined) throw missingPort(INBOUND_PORT, 'inbound');
  if (redirectPortOutbound === undefined) throw missingPort(OUTBOUND_PORT, 'outbound');
  const directAccessServices = listAnnotation(annotations, DIRECT_ACCESS);
  const reachableServices = listAnnotation(annotations, REACHABLE_SERVICES);
  const reachableBackends = reachableBackendsOf(annotations);
  return {
    redirectPortInbound,
    redirectPortOutbound,
    ipFamilyMode: familyOf(annotations),
    ...(directAccessServices === undefined ? {} : { directAccessServices }),
    ...(reachableServices === undefined ? {} : { reachableServices }),
    ...(reachableBackends === undefined ? {} : { reachableBackends }),
  };
}

function missingPort(annotation: string, direction: string): AnnotationError {
  return new AnnotationError(annotation, `transparent proxying ${direction} port has to be set in transparent mode`);
}

function familyOf(annotations: Annotations): 'DualStack' | 'IPv4' {
  const mode = annotations?.[FAMILY] || 'dualstack';
  if (mode === 'dualstack') return 'DualStack';
  if (mode === 'ipv4') return 'IPv4';
  throw new AnnotationError(FAMILY, `invalid ip family mode '${mode}'`);
}

function reachableBackendsOf(annotations: Annotations): ReachableBackends | undefined {
  const text = annotations?.[REACHABLE_BACKENDS];
  if (text === undefined) return undefined;
  const value = readYaml(text);
  const refs = isJsonObject(value) ? (value['refs'] ?? []) : undefined;
  if (!Array.isArray(refs) || !refs.every(isReference)) throw unreadable();
  // Keys and types were checked; what the kind's own validation refuses, it names.
  return { refs } as ReachableBackends;
}

function readYaml(text: string): unknown {
  try {
    return parseYamlDocuments(text)[0]?.value;
  } catch {
    throw unreadable();
  }
}

function isReference(ref: unknown): boolean {
  if (!isJsonObject(ref) || typeof ref['kind'] !== 'string') return false;
  const { name, namespace, port, labels } = ref;
  return (
    [name, namespace].every((text) => text === undefined || typeof text === 'string') &&
    (port === undefined || (Number.isInteger(port) && Number(port) >= 0)) &&
    (labels === undefined || (isJsonObject(labels) && Object.values(labels).every((text) => typeof text === 'string')))
  );
}

function unreadable(): AnnotationError {
  return new AnnotationError(REACHABLE_BACKENDS, `cannot parse, ${REACHABLE_BACKENDS} has invalid format`);
}
