import type { Violation } from '../../resources/resource.ts';
import { BOOLEAN_FORM, booleanWord, INJECTION_LABEL, MESH_LABEL } from './annotations.ts';
import type { AdmittedPod, NamespaceFacts } from './pod.ts';
import type { InjectorSettings } from './settings.ts';

export type Decision =
  | { readonly kind: 'inject' }
  /** For the log: why this Pod gets no sidecar. */
  | { readonly kind: 'skip'; readonly reason: string }
  | { readonly kind: 'refuse'; readonly violations: readonly Violation[] };

/** Whether a Pod gets a sidecar. The Pod's label counts before the Namespace's. Source: compatibility reference 6; Kuma 2.11 `needInject`. */
export function decideInjection(
  { metadata = {}, spec = {} }: AdmittedPod,
  namespace: NamespaceFacts,
  settings: Pick<InjectorSettings, 'exceptionLabels'>,
): Decision {
  const labels = metadata.labels ?? {};
  for (const [name, value] of Object.entries(settings.exceptionLabels)) {
    if (labels[name] !== undefined && (value === '*' || labels[name] === value))
      return skip(`label ${name} is an exception of the injector (runtime.kubernetes.injector.exceptions.labels)`);
  }
  const ofPod = labels[INJECTION_LABEL];
  const word = ofPod ?? namespace.labels[INJECTION_LABEL];
  if (word === undefined) return skip(`neither the Pod nor its Namespace has the label ${INJECTION_LABEL}`);
  const wanted = booleanWord(word);
  if (wanted === undefined) {
    const whose = ofPod === undefined ? ` of namespace ${namespace.name}` : '';
    const message = `"${word}"${whose} is not allowed; it takes ${BOOLEAN_FORM}`;
    return { kind: 'refuse', violations: [{ field: `metadata.labels["${INJECTION_LABEL}"]`, message }] };
  }
  if (!wanted) return skip(`label ${INJECTION_LABEL} of the ${ofPod === undefined ? 'Namespace' : 'Pod'} says no`);
  if (spec.hostNetwork === true)
    return skip('hostNetwork is on: redirecting its traffic would redirect that of the whole node');
  if (spec.os?.name === 'windows') return skip('it runs on Windows, where traffic cannot be redirected');
  return { kind: 'inject' };
}

function skip(reason: string): Decision {
  return { kind: 'skip', reason };
}

interface Named {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Mesh of a Pod: the Pod's word counts before the Namespace's, a label before the older annotation; else `default`. */
export function meshOfPod({ metadata = {} }: { readonly metadata?: Named }, namespace: Named = {}): string {
  for (const { labels, annotations } of [metadata, namespace]) {
    const mesh = labels?.[MESH_LABEL] || annotations?.[MESH_LABEL];
    if (mesh) return mesh;
  }
  return 'default';
}
