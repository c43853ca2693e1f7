import {
  type BackendConfig,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type CaRenewal,
  type OwnCas,
} from '../../ca/backend.ts';
import type { IdentityService } from '../../identity/identity.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DataplaneSpec } from '../../resources/kinds/dataplane.ts';
import type { DataplaneInsightSpec } from '../../resources/kinds/dataplane-insight.ts';
import type { MeshMtls, MeshSpec } from '../../resources/kinds/mesh.ts';
import type { Resource } from '../../resources/resource.ts';
import { rotatingProxies } from '../../rotation/proxies.ts';
import type { Rotation, RotationAction, RotationProblem, Sighting } from '../../rotation/rotation.ts';
import type { ResourceStore } from '../../store/store.ts';

/** What the state machine cannot do itself: look at a mesh, and change it. Both throw `StoreError` and `CaError`. */
export interface RotationHands {
  look(mesh: string, rotation: Rotation): Promise<Sighting>;
  /** Harmless when it was done already. */
  act(mesh: string, rotation: Rotation, action: RotationAction): Promise<void>;
}

export interface RotationHandsOptions {
  readonly store: ResourceStore;
  readonly caKinds: readonly CaBackendKind[];
  readonly caDependencies: CaDependencies;
  readonly identity: Pick<IdentityService, 'backends'>;
  readonly dataplanes: (mesh: string) => Iterable<Resource<DataplaneSpec>>;
  readonly clock: Clock;
}

/** A sighting without its proxies. */
type Cas = Omit<Sighting, 'now' | 'proxies'>;

const NO_ROOTS: ReadonlySet<string> = new Set();

export function createRotationHands(options: RotationHandsOptions): RotationHands {
  const { store, identity } = options;

  async function meshOf(name: string): Promise<Resource<MeshSpec> | undefined> {
    return (await store.get({ type: 'Mesh', mesh: '', name })) as Resource<MeshSpec> | undefined;
  }

  /** The new CA of a builtin backend, as its kind makes it. Throws `CaError`. */
  function renewalOf(
    mesh: string,
    mtls: MeshMtls | undefined,
    name: string,
  ): { renewal: CaRenewal; config: BackendConfig } {
    const backend = mtls?.backends?.find((one) => one.name === name);
    const renewal = options.caKinds.find(({ type }) => type === backend?.type)?.renewal;
    if (backend === undefined || renewal === undefined) {
      throw new CaError('not-configured', `renew the CA of backend "${name}" of mesh ${mesh}: it has none of its own`);
    }
    return { renewal, config: { mesh, name, type: backend.type, conf: backend.conf ?? {} } };
  }

  function rootsOf(mesh: string, backend: string): ReadonlySet<string> {
    const roots = identity.backends(mesh).find(({ name }) => name === backend)?.roots ?? [];
    return new Set(roots.flatMap(({ current, fingerprint }) => (current ? [hexOf(fingerprint)] : [])));
  }

  function problemOf(mesh: string, backend: string): RotationProblem | undefined {
    const state = identity.backends(mesh).find(({ name }) => name === backend);
    const ends = state?.roots.filter(({ current }) => current).map(({ notAfter }) => notAfter) ?? [];
    if (ends.length > 0 && Math.max(...ends) <= options.clock.now()) {
      const at = new Date(Math.max(...ends)).toISOString();
      return { reason: 'CaExpired', message: `the CA of backend "${backend}" expired at ${at}; give it another one` };
    }
    if (state?.state !== 'Failing') return undefined;
    const { reason, message, fix } = state;
    return { reason, message, ...(fix === undefined ? {} : { fix }) };
  }

  function lookAtSwitch(mesh: string, mtls: MeshMtls | undefined, { from, to }: Rotation): Cas {
    const listed = new Set(mtls?.backends?.map(({ name }) => name));
    const enabled = mtls?.enabledBackend ?? '';
    const gone = goneText(enabled, listed, from, to);
    const issuing = gone === undefined ? (enabled === to ? 'new' : 'old') : undefined;
    return {
      issuing,
      ...(gone === undefined ? {} : { gone }),
      otherKept: listed.has(enabled === to ? from : to),
      newRoots: rootsOf(mesh, to),
      oldRoots: rootsOf(mesh, from),
      problem: problemOf(mesh, to),
    };
  }

  async function ownCas(mesh: string, mtls: MeshMtls | undefined, name: string): Promise<OwnCas> {
    const { renewal, config } = renewalOf(mesh, mtls, name);
    return renewal.state(config, options.caDependencies);
  }

  async function lookAtRenewal(mesh: string, mtls: MeshMtls | undefined, { to, phase }: Rotation): Promise<Cas> {
    const enabled = mtls?.enabledBackend ?? '';
    if (enabled !== to) {
      const gone = enabled === '' ? 'mTLS was switched off' : `the Mesh issues from "${enabled}" now`;
      return { issuing: undefined, gone, otherKept: false, newRoots: NO_ROOTS, oldRoots: NO_ROOTS, problem: undefined };
    }
    const { signing, next, former } = await ownCas(mesh, mtls, to);
    const isNew = former !== undefined || (next === undefined && phase !== 'Trusting' && phase !== 'RollingBack');
    const other = isNew ? former : next;
    return {
      issuing: isNew ? 'new' : 'old',
      otherKept: other !== undefined,
      newRoots: setOf(isNew ? signing : next),
      oldRoots: setOf(isNew ? former : signing),
      // That the old CA is at its end is no reason to wait with the next one.
      problem: isNew ? problemOf(mesh, to) : undefined,
    };
  }

  /** Another backend issues, or one is taken off the list. */
  async function editMtls(mesh: string, edit: (mtls: MeshMtls) => MeshMtls): Promise<void> {
    const stored = await meshOf(mesh);
    if (stored?.spec.mtls === undefined) return;
    const spec: MeshSpec = { ...stored.spec, mtls: edit(stored.spec.mtls) };
    await store.update({ ...stored, spec }, stored.meta.version);
  }

  async function actOnSwitch(mesh: string, { from, to }: Rotation, action: RotationAction): Promise<void> {
    switch (action) {
      case 'activate':
        return editMtls(mesh, (mtls) => ({ ...mtls, enabledBackend: to }));
      case 'restore':
        return editMtls(mesh, (mtls) => ({ ...mtls, enabledBackend: from }));
      case 'retire':
        return editMtls(mesh, (mtls) => ({
          ...mtls,
          backends: mtls.backends?.filter(({ name }) => name !== from) ?? [],
        }));
      case 'prepare':
        // It was listed before.
        return;
      default:
        return action satisfies never;
    }
  }

  return {
    async look(mesh, rotation) {
      const mtls = (await meshOf(mesh))?.spec.mtls;
      const cas =
        rotation.kind === 'switch'
          ? lookAtSwitch(mesh, mtls, rotation)
          : await lookAtRenewal(mesh, mtls, rotation).catch((error: unknown) => unreadable(rotation, error));
      const insights = await readInsights(store, mesh);
      return { ...cas, now: options.clock.now(), proxies: rotatingProxies(options.dataplanes(mesh), insights) };
    },
    async act(mesh, rotation, action) {
      if (rotation.kind === 'switch') return actOnSwitch(mesh, rotation, action);
      const { renewal, config } = renewalOf(mesh, (await meshOf(mesh))?.spec.mtls, rotation.to);
      await renewal[action](config, options.caDependencies);
    },
  };
}

/** The CAs of a builtin backend cannot be read: everything waits until they can. Throws what is no `CaError`. */
function unreadable({ phase }: Rotation, error: unknown): Cas {
  if (!(error instanceof CaError)) throw error;
  const { reason, message, fix } = error;
  return {
    issuing: phase === 'Trusting' || phase === 'RollingBack' ? 'old' : 'new',
    otherKept: true,
    newRoots: NO_ROOTS,
    oldRoots: NO_ROOTS,
    problem: { reason, message, ...(fix === undefined ? {} : { fix }) },
  };
}

/** Insights of a mesh by name of the proxy. Throws `StoreError`. */
export async function readInsights(
  store: ResourceStore,
  mesh: string,
): Promise<ReadonlyMap<string, DataplaneInsightSpec>> {
  const { items } = await store.list({ type: 'DataplaneInsight', mesh });
  return new Map(items.map(({ meta, spec }) => [meta.name, spec as DataplaneInsightSpec]));
}

/** Why a rotation between these backends has no object any more. */
function goneText(enabled: string, listed: ReadonlySet<string>, from: string, to: string): string | undefined {
  if (enabled === '') return 'mTLS was switched off';
  if (enabled !== from && enabled !== to) return `the Mesh issues from "${enabled}" now`;
  return listed.has(to) ? undefined : `backend "${to}" is not listed any more`;
}

const hexOf = (fingerprint: string) => fingerprint.replaceAll(':', '').toLowerCase();

function setOf(root: string | undefined): ReadonlySet<string> {
  return root === undefined ? NO_ROOTS : new Set([root]);
}
