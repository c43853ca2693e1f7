import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { buildSnapshot } from '../mesh/build.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { ServiceVip } from '../mesh/vips.ts';
import type { Resource } from '../resources/resource.ts';
import {
  type AdminTls,
  createGenerationCache,
  type Generated,
  type GenerationCacheOptions,
  generateSidecar,
  type ProxyMetadata,
} from '../xds/generate.ts';

/** Folder of the golden pairs: `<case>.in.yaml`, `<case>.out.yaml`. */
export const SIDECAR_CASES = join(import.meta.dirname, '../xds/testdata');

/** First document of a case; the others are resources in Universal form. */
interface CaseHead {
  /** Name of the Dataplane whose configuration it is. */
  readonly proxy: string;
  readonly mesh?: string;
  readonly metadata?: Partial<ProxyMetadata>;
  readonly zone?: string;
  readonly shadow?: boolean;
  /** Addresses of Services, as on Kubernetes. */
  readonly vips?: Readonly<Record<string, ServiceVip>>;
}

export interface SidecarCase {
  readonly name: string;
  readonly head: CaseHead;
  readonly resources: readonly Resource[];
}

export function sidecarCases(): readonly SidecarCase[] {
  return readdirSync(SIDECAR_CASES)
    .filter((file) => file.endsWith('.in.yaml'))
    .sort()
    .map((file) => {
      const name = file.slice(0, -'.in.yaml'.length);
      const [head, ...resources] = parseAllDocuments(readFileSync(join(SIDECAR_CASES, file), 'utf8')).map(
        (document) => document.toJS() as Record<string, unknown>,
      );
      return { name, head: head as unknown as CaseHead, resources: resources.map(resourceOf) };
    });
}

export const PLAIN_METADATA: ProxyMetadata = {
  adminPort: 0,
  adminAddress: '',
  readinessPort: 0,
  features: [],
  workdir: '',
  ipv6Enabled: false,
};

/** Configuration of a case, made with a new cache. */
export function generateCase({ head, resources }: SidecarCase, adminTls: AdminTls | undefined): Generated {
  const snapshot = snapshotOf(resources, head.mesh, head.vips);
  const options: GenerationCacheOptions = { adminTls, ...(head.zone === undefined ? {} : { zone: head.zone }) };
  return generateSidecar(
    { dataplane: snapshot.dataplanes.get(head.proxy)!, metadata: { ...PLAIN_METADATA, ...head.metadata } },
    snapshot,
    createGenerationCache(options),
    { shadow: head.shadow ?? false },
  );
}

export function snapshotOf(
  resources: readonly Resource[],
  mesh = 'default',
  vips: Readonly<Record<string, ServiceVip>> = {},
): MeshSnapshot {
  return buildSnapshot(
    undefined,
    mesh,
    resources.map((resource) => ({ op: 'upsert', resource })),
    { source: { of: (service) => vips[service] }, changed: new Set() },
  ).snapshot;
}

/** A resource out of its Universal form, without validation. */
export function resourceOf(document: Record<string, unknown>): Resource {
  const { type, mesh, name, labels, spec, ...inline } = document;
  return {
    type: String(type),
    meta: {
      mesh: typeof mesh === 'string' ? mesh : '',
      name: String(name),
      labels: (labels ?? {}) as Record<string, string>,
      creationTime: '2026-01-01T00:00:00Z',
      modificationTime: '2026-01-01T00:00:00Z',
      version: '1',
    },
    spec: spec ?? inline,
  };
}
