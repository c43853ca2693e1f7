import type { BackendConfig, CaBackendKind, CaDependencies } from '../ca/backend.ts';
import { limitsOf } from '../identity/limits.ts';
import { type Rehearsal, rehearse } from '../identity/rehearsal.ts';
import type { Clock } from '../lib/clock.ts';
import { stableJson } from '../lib/hash.ts';
import type { Logger } from '../lib/log.ts';
import { Counter, type Metrics } from '../lib/metrics.ts';
import { leafLifetimeMs, type MeshSpec, type MtlsBackend } from '../resources/kinds/mesh.ts';
import type { Resource, Violation } from '../resources/resource.ts';
import type { BackendRehearsal, RehearsalSource } from '../rest/rehearsal-source.ts';
import type { ResourceStore } from '../store/store.ts';

/** Somebody waits for it: as long as a slow issuer takes. */
const ON_REQUEST_MS = 30_000;

export interface Rehearsals extends RehearsalSource {
  /** What stands in the way of the backends that a write of this Mesh brings in; they are rehearsed side by side. */
  violations(mesh: Resource<MeshSpec>, previous: Resource<MeshSpec> | undefined): Promise<readonly Violation[]>;
}

/** Rehearsals of CA backends, on request and before a Mesh is written (decision 0025). `onWriteMs`: longest time a write waits for them. */
export function createRehearsals(options: {
  store: ResourceStore;
  caKinds: readonly CaBackendKind[];
  caDependencies: CaDependencies;
  onWriteMs: number;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
}): Rehearsals {
  const { store, caKinds, caDependencies: deps, clock, log } = options;
  const counter = new Counter({
    name: 'weft_ca_rehearsals',
    help: 'Probe certificates asked for to see whether a CA backend works',
    labelNames: ['type', 'result'],
    registers: [options.metrics],
  });

  async function run(mesh: Resource<MeshSpec>, { backend, kind, path }: Listed, timeoutMs: number): Promise<Rehearsal> {
    const rehearsal = await rehearse({ kind, config: configOf(mesh, backend), path, deps, clock, timeoutMs });
    counter.inc({ type: kind.type, result: rehearsal.ok ? 'ok' : 'failed' });
    log.info('a CA backend was rehearsed', {
      mesh: mesh.meta.name,
      backend: backend.name,
      ok: rehearsal.ok,
      steps: rehearsal.steps.map(({ name, ms }) => `${name} ${ms} ms`),
    });
    return rehearsal;
  }

  return {
    async test(mesh, name): Promise<BackendRehearsal | undefined> {
      const listed = listedBackends(mesh, caKinds).find(({ backend }) => backend.name === name);
      if (listed === undefined) return undefined;
      const { backend, kind } = listed;
      const rehearsal = await run(mesh, listed, ON_REQUEST_MS);
      const { total: proxies } = await store.list({ type: 'Dataplane', mesh: mesh.meta.name, size: 1 });
      const config = configOf(mesh, backend);
      const { perSecond } = limitsOf(backend, caKinds);
      const usage = kind.usage?.(config, { proxies, leafLifetimeMs: leafLifetimeMs(backend), perSecond }) ?? [];
      return { mesh: mesh.meta.name, backend: name, type: kind.type, ...rehearsal, usage };
    },
    async violations(mesh, previous) {
      const chosen = backendsToRehearse(mesh, previous, caKinds);
      const rehearsals = await Promise.all(chosen.map((listed) => run(mesh, listed, options.onWriteMs)));
      return rehearsals.flatMap(({ findings }) =>
        findings.map(({ field, message, fix }) => ({
          field,
          message: fix === undefined ? message : `${message}; to mend it:\n${fix.trimEnd()}`,
        })),
      );
    },
  };
}

interface Listed {
  readonly backend: MtlsBackend;
  readonly kind: CaBackendKind;
  /** `mtls.backends[i].conf` */
  readonly path: string;
}

function listedBackends({ spec }: Resource<MeshSpec>, kinds: readonly CaBackendKind[]): readonly Listed[] {
  return (spec.mtls?.backends ?? []).flatMap((backend, index) => {
    const kind = kinds.find(({ type }) => type === backend.type);
    return kind === undefined ? [] : [{ backend, kind, path: `mtls.backends[${index}].conf` }];
  });
}

/**
 * Which backends a write of this Mesh has rehearsed: of the kinds that say so, those that are new or of another type or conf, and all of them when mTLS
 * is switched on. None while mTLS stays off, and none with `skipValidation`. Pure.
 */
export function backendsToRehearse(
  mesh: Resource<MeshSpec>,
  previous: Resource<MeshSpec> | undefined,
  kinds: readonly CaBackendKind[],
): readonly Listed[] {
  const { mtls } = mesh.spec;
  if (!mtls?.enabledBackend || mtls.skipValidation === true) return [];
  const before = previous?.spec.mtls;
  const known = before?.enabledBackend ? (before.backends ?? []) : [];
  return listedBackends(mesh, kinds).filter(
    ({ backend, kind }) => kind.rehearsedOnWrite === true && !known.some((other) => isSameCa(other, backend)),
  );
}

const isSameCa = (a: MtlsBackend, b: MtlsBackend) =>
  a.name === b.name && a.type === b.type && stableJson(a.conf ?? {}) === stableJson(b.conf ?? {});

function configOf({ meta }: Resource<MeshSpec>, backend: MtlsBackend): BackendConfig {
  const { name, type, conf = {} } = backend;
  return { mesh: meta.name, name, type, conf, leafLifetimeMs: leafLifetimeMs(backend) };
}
