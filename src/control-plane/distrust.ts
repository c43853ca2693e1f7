import { type MeshDistrust, NO_DISTRUST } from '../identity/distrust.ts';
import { leafHistory } from '../identity/history.ts';
import type { IdentityService } from '../identity/identity.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { DistrustEntry, MeshDistrustSpec } from '../resources/kinds/mesh-distrust.ts';
import type { Resource, Violation } from '../resources/resource.ts';
import type { DistrustEffect, DistrustRequest, DistrustSource } from '../rest/distrust-source.ts';
import { followStore } from '../store/follow.ts';
import { type ResourceStore, StoreError } from '../store/store.ts';

const TYPE = 'MeshDistrust';
/** So many certificates can be in the CRLs of a mesh: each proxy gets all of them. */
const MOST_CERTIFICATES = 5000;
const ATTEMPTS = 5;

type Issuance = Pick<IdentityService, 'leaves' | 'notRevocable' | 'setDistrust'>;

/** Distrust for the API: one record of a mesh in the store, which every control plane follows with `watchDistrust`. */
export function createDistrustSource(options: {
  store: ResourceStore;
  identity: Issuance;
  now: () => number;
}): DistrustSource {
  const { store, identity, now } = options;

  async function read(mesh: string): Promise<{ spec: MeshDistrustSpec; version: string | undefined }> {
    const found = await store.get({ type: TYPE, mesh, name: mesh });
    return found === undefined
      ? { spec: { epoch: 0, entries: [] }, version: undefined }
      : { spec: found.spec as MeshDistrustSpec, version: found.meta.version };
  }

  /** Reads, changes and writes, again when another control plane came between. Tells issuance here at once; others follow the store. */
  async function change(mesh: string, next: (spec: MeshDistrustSpec) => MeshDistrustSpec): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const { spec, version } = await read(mesh);
      const wanted = next(spec);
      const meta = { mesh, name: mesh, labels: {}, creationTime: '', modificationTime: '', version: version ?? '' };
      const resource = { type: TYPE, meta, spec: wanted };
      try {
        if (version === undefined) await store.create(resource);
        else await store.update(resource, version);
        identity.setDistrust(mesh, toMeshDistrust(wanted));
        return;
      } catch (error) {
        const conflict = error instanceof StoreError && (error.code === 'conflict' || error.code === 'already-exists');
        if (!conflict || attempt === ATTEMPTS) throw error;
      }
    }
  }

  const isOver = ({ until }: DistrustEntry) => until !== undefined && Date.parse(until) <= now();

  /** In the place of an earlier one for the same, whose certificates go on to be distrusted. */
  function withEntry(entries: readonly DistrustEntry[], entry: DistrustEntry): readonly DistrustEntry[] {
    const others = entries.filter((other) => !isOver(other) && !isSame(other, entry));
    const known = new Set(entry.certificates.map(({ serial }) => serial));
    const earlier = entries.filter((other) => isSame(other, entry)).flatMap(({ certificates }) => certificates);
    const still = earlier.filter(({ serial, notAfter }) => !known.has(serial) && Date.parse(notAfter) > now());
    return [...others, { ...entry, certificates: [...entry.certificates, ...still] }];
  }

  /** Unexpired certificates that the request is about; of a backend none: what it issued is refused whole. */
  function certificatesOf(mesh: string, { kind, name }: DistrustRequest): DistrustEntry['certificates'] {
    if (kind === 'backend') return [];
    return [...identity.leaves(mesh)].flatMap(({ proxy, leaf }) =>
      leafHistory(leaf)
        .filter(({ notAfter }) => notAfter > now())
        .filter(({ serial }) => (kind === 'leaf' ? serial === name : leaf.uriSans.includes(`spiffe://${mesh}/${name}`)))
        .map(({ serial, backend, notAfter }) => ({
          serial,
          backend,
          proxy: proxy.name,
          notAfter: new Date(notAfter).toISOString(),
        })),
    );
  }

  return {
    async list(mesh) {
      const { spec } = await read(mesh);
      const why = await identity.notRevocable(mesh);
      return spec.entries.filter((entry) => !isOver(entry)).map((entry) => ({ entry, effect: effectOf(entry, why) }));
    },

    async add(mesh, request) {
      const { name } = mesh.meta;
      const certificates = certificatesOf(name, request);
      const violations = violationsOf(mesh, request, certificates);
      if (violations.length > 0) return violations;
      const why = request.kind === 'backend' ? undefined : await identity.notRevocable(name);
      const ends = certificates.map(({ notAfter }) => notAfter).sort();
      const denied = request.kind === 'service' && why !== undefined;
      const entry: DistrustEntry = {
        ...request,
        at: new Date(now()).toISOString(),
        ...(request.kind === 'backend' || denied ? {} : { until: ends.at(-1)! }),
        ...(denied ? { denied } : {}),
        certificates,
      };
      await change(name, ({ epoch, entries }) => ({ epoch: epoch + 1, entries: withEntry(entries, entry) }));
      return { entry, effect: effectOf(entry, why) };
    },

    async lift(mesh, kind, name) {
      const { spec } = await read(mesh);
      if (!spec.entries.some((entry) => entry.kind === kind && entry.name === name)) return false;
      await change(mesh, ({ epoch, entries }) => ({
        epoch,
        entries: entries.filter((entry) => !(entry.kind === kind && entry.name === name)),
      }));
      return true;
    },
  };
}

function isSame(a: DistrustEntry, b: DistrustEntry): boolean {
  return a.kind === b.kind && a.name === b.name;
}

function effectOf({ kind, denied }: DistrustEntry, why: string | undefined): DistrustEffect {
  if (kind === 'backend') return { kind: 'untrusted' };
  if (denied === true) return { kind: 'denied', why: why ?? 'it could not be revoked when it was distrusted' };
  return why === undefined ? { kind: 'revoked' } : { kind: 'replaced-only', why };
}

function violationsOf(
  { meta, spec }: Resource<MeshSpec>,
  { kind, name }: DistrustRequest,
  certificates: DistrustEntry['certificates'],
): readonly Violation[] {
  const { enabledBackend, backends = [] } = spec.mtls ?? {};
  if (!enabledBackend)
    return [{ field: 'mesh', message: `mTLS of mesh ${meta.name} is off: there are no certificates` }];
  if (kind === 'backend') {
    const listed = backends.map((backend) => backend.name);
    if (!listed.includes(name)) {
      return [{ field: 'backend', message: `mesh ${meta.name} has no backend "${name}", only ${listed.join(', ')}` }];
    }
    if (name !== enabledBackend) return [];
    return [
      {
        field: 'backend',
        message: `"${name}" issues the certificates of mesh ${meta.name}, so nothing would be trusted; go over to another one first: weft ca rotate --to OTHER --mesh ${meta.name}`,
      },
    ];
  }
  if (certificates.length === 0) {
    return [
      kind === 'leaf'
        ? {
            field: 'serial',
            message:
              'no proxy has or had a certificate with this serial that is still valid; see: weft certs list -o wide',
          }
        : { field: 'service', message: `no proxy of mesh ${meta.name} has a certificate of service "${name}"` },
    ];
  }
  if (certificates.length <= MOST_CERTIFICATES) return [];
  return [
    {
      field: kind,
      message: `these are ${certificates.length} certificates, and a CRL holds at most ${MOST_CERTIFICATES} here; go over to another CA and distrust the old one instead`,
    },
  ];
}

/** As issuance takes it. */
function toMeshDistrust({ epoch, entries }: MeshDistrustSpec): MeshDistrust {
  const certificates = entries.flatMap(({ at, certificates: list }) =>
    list.map((one) => ({ ...one, at: Date.parse(at) })),
  );
  const leaves = new Map(
    certificates.map(({ serial, backend, at }) => [`${backend}/${serial}`, { serial, backend, at }]),
  );
  const of = (kind: DistrustEntry['kind']) => entries.filter((entry) => entry.kind === kind);
  return {
    epoch,
    leaves: [...leaves.values()],
    services: of('service').map(({ name, at }) => ({ service: name, before: Date.parse(at) })),
    backends: of('backend').map(({ name }) => name),
    denied: entries
      .filter(({ denied }) => denied === true)
      .map(({ name }) => name)
      .sort(),
  };
}

/** Tells issuance of all that is distrusted; to be awaited before proxies are served. */
export async function loadDistrust(store: ResourceStore, identity: Issuance): Promise<void> {
  const { items } = await store.list({ type: TYPE });
  for (const { meta, spec } of items) identity.setDistrust(meta.mesh, toMeshDistrust(spec as MeshDistrustSpec));
}

/** Follows what is distrusted, here or at another control plane. Ends when `signal` aborts. */
export async function watchDistrust(options: {
  store: ResourceStore;
  identity: Issuance;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): Promise<void> {
  const { identity } = options;
  await followStore({ ...options, types: [TYPE], what: 'what is distrusted' }, (batch) => {
    for (const change of batch) {
      if (change.op === 'upsert') {
        const { meta, spec } = change.resource;
        identity.setDistrust(meta.mesh, toMeshDistrust(spec as MeshDistrustSpec));
      } else if (change.op === 'delete') identity.setDistrust(change.key.mesh, NO_DISTRUST);
    }
  });
}
