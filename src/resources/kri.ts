import type { Resource } from './resource.ts';
import { displayName, LABEL_NAMESPACE, LABEL_ZONE } from './well-known.ts';

/** The parts of a KRI. Absent parts are ''. */
export interface Kri {
  readonly shortName: string;
  readonly mesh: string;
  readonly zone: string;
  readonly namespace: string;
  readonly name: string;
  readonly section: string;
}

/** `kri_<short>_<mesh>_<zone>_<namespace>_<displayName>_<section>`, empty parts kept. Source: Kuma 2.14 `pkg/core/kri`. */
export function kriText(kri: Kri): string {
  return ['kri', kri.shortName, kri.mesh, kri.zone, kri.namespace, kri.name, kri.section].join('_');
}

/** The resource's KRI; '' for kinds without a short name: they have none. */
export function kriOf(shortName: string, resource: Resource, section = ''): string {
  if (shortName === '') return '';
  const { mesh, labels } = resource.meta;
  return kriText({
    shortName,
    mesh,
    zone: labels[LABEL_ZONE] ?? '',
    namespace: labels[LABEL_NAMESPACE] ?? '',
    name: displayName(resource.meta),
    section,
  });
}

/** `undefined` when the text is no KRI. A section may hold underscores; the other parts can't. */
export function parseKri(text: string): Kri | undefined {
  const parts = text.split('_');
  if (parts.length < 7 || parts[0] !== 'kri' || parts[1] === '') return undefined;
  const [, shortName = '', mesh = '', zone = '', namespace = '', name = '', ...section] = parts;
  return { shortName, mesh, zone, namespace, name, section: section.join('_') };
}
