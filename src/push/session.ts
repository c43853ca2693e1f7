import { identitySecretName } from '../envoy/names.ts';
import { desiredIdentity } from '../identity/desired.ts';
import type { DesiredIdentity, HeldLeaf, IdentityService, ProxyKey, TrustBundle } from '../identity/identity.ts';
import type { ProxyEvents, Rejection } from '../insights/proxy-events.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { Generated, GenerationCache, ProxyMetadata } from '../xds/generate.ts';
import { generateSidecar } from '../xds/generate.ts';
import { identitySecret, trustBundleSecret } from '../xds/secrets.ts';
import {
  type Ack,
  type EncodedResource,
  type Nack,
  type ResourceSet,
  TYPE,
  type TypeUrl,
  type XdsStream,
} from '../xds-server/xds.ts';
import type { DescribeSecrets } from './acknowledged.ts';

/** What a session stands on; shared by all sessions of the process. */
export interface SessionDependencies {
  readonly identity: IdentityService;
  /** Epoch ms. */
  readonly now: () => number;
  /** Key of the leaves; a change takes effect with the next leaf of each proxy. */
  readonly leafKeyType: DesiredIdentity['keyType'];
  readonly cache: GenerationCache;
  readonly events: ProxyEvents;
  /** Encoded trust bundle of a mesh, shared by its sessions. */
  readonly bundleSecret: (bundle: TrustBundle) => EncodedResource;
  readonly describeSecrets: DescribeSecrets;
  /** See `GenerateOptions.tlsReady`. */
  readonly tlsReady: (snapshot: MeshSnapshot, service: string) => boolean;
  /** Whether the proxy's peers trust what signed `leaf`. */
  readonly peersTrust: (key: ProxyKey, leaf: HeldLeaf) => boolean;
  /** The proxy said yes to this bundle. */
  readonly bundleAccepted: (key: ProxyKey, bundle: TrustBundle) => void;
  /** The proxy said yes to the leaf it was given. */
  readonly leafAccepted: (key: ProxyKey) => void;
}

/**
 * One connected proxy: what it should have, what it has said yes to, and the rule between the two:
 * a leaf goes out only when it verifies against a bundle this proxy has acknowledged.
 * Never waits: a missing certificate or a failed generation leaves everything else flowing.
 */
export interface ProxySession {
  readonly key: ProxyKey;
  readonly metadata: ProxyMetadata;
  readonly stream: XdsStream;
  /** Services whose endpoints this proxy has; see `Generated.services`. */
  services(): Generated['services'];
  /** Takes over a new snapshot of the mesh: regenerates, and pushes what differs. */
  refresh(snapshot: MeshSnapshot): void;
  /** The leaf or the bundle may have changed. */
  identityChanged(): void;
  /** Its launcher, which has made the key and takes the leaf to Envoy; `undefined` once it left. For a proxy that gets its leaf from there. */
  setLauncher(deliver: ((leaf: HeldLeaf) => void) | undefined): void;
  /** Envoy presents the leaf with this serial; or, with `problem`, it or the launcher refused it. */
  launcherSaid(serial: string, problem: string | undefined): void;
  onAck(ack: Ack): void;
  onNack(nack: Nack): void;
}

/** A leaf with less life left than this is replaced without waiting for anybody. */
const LEAST_LIFE_MS = 2000;

const NO_SERVICES: ReadonlySet<string> = new Set();
const NO_SECRETS: ReadonlyMap<string, EncodedResource> = new Map();

export function createProxySession(
  key: ProxyKey,
  metadata: ProxyMetadata,
  stream: XdsStream,
  deps: SessionDependencies,
): ProxySession {
  let generated: Generated | undefined;
  let current: MeshSnapshot | undefined;
  /**
   * The epoch of distrust that the configuration is of. A new one ends connections, so it waits until this proxy has said yes to the bundle that refuses what is
   * distrusted: the connections that come instead are checked against that. A stream begins with the epoch of its time, which a proxy that comes back has.
   */
  let epoch = deps.identity.distrust(key.mesh).epoch;
  let mtlsOn = false;
  let failed = false;
  let deliveredLeaf: HeldLeaf | undefined;
  let deliveredBundle: TrustBundle | undefined;
  let acknowledgedBundle: TrustBundle | undefined;
  let acknowledgedLeaf: HeldLeaf | undefined;
  /** Bundles that went out and are not yet acknowledged or superseded, by secret version. */
  const offered = new Map<string, TrustBundle>();
  let secrets: ReadonlyMap<string, EncodedResource> = NO_SECRETS;
  let pushedResources: ResourceSet | undefined;
  let pushedSecrets: ReadonlyMap<string, EncodedResource> | undefined;
  let rejections: readonly Rejection[] = [];
  const viaLauncher = metadata.identityFrom === 'launcher';
  let launcher: ((leaf: HeldLeaf) => void) | undefined;
  /** Serial of the leaf that came through the launcher and is in use. */
  let launcherLeaf = '';

  function refresh(snapshot: MeshSnapshot): void {
    current = snapshot;
    const dataplane = snapshot.dataplanes.get(key.name);
    if (dataplane === undefined) {
      deps.identity.want(key, undefined);
      return; // The Dataplane is gone: its Envoy keeps what it has until the stream ends.
    }
    const desired = desiredIdentity(snapshot.mesh, dataplane, deps.leafKeyType);
    mtlsOn = desired !== undefined;
    deps.identity.want(key, desired && viaLauncher ? { ...desired, keys: 'proxy' } : desired);
    try {
      generated = generateSidecar({ dataplane, metadata }, snapshot, deps.cache, {
        tlsReady: (service) => deps.tlsReady(snapshot, service),
        distrust: { epoch, denied: deps.identity.distrust(key.mesh).denied },
      });
      if (failed) deps.events.generated(key, undefined);
      failed = false;
    } catch (error) {
      failed = true;
      deps.events.generated(key, error instanceof Error ? error.message : String(error));
    }
    push();
  }

  function push(): void {
    if (generated === undefined) return;
    updateSecrets();
    if (generated.resources === pushedResources && secrets === pushedSecrets) return;
    pushedResources = generated.resources;
    pushedSecrets = secrets;
    const set = new Map<TypeUrl, ReadonlyMap<string, EncodedResource>>(generated.resources);
    if (secrets.size > 0) set.set(TYPE.secret, secrets);
    stream.setResources(set);
  }

  function updateSecrets(): void {
    if (!mtlsOn) {
      if (secrets !== NO_SECRETS) {
        secrets = NO_SECRETS;
        deliveredLeaf = undefined;
        deliveredBundle = undefined;
        acknowledgedBundle = undefined;
        acknowledgedLeaf = undefined;
        offered.clear();
      }
      return;
    }
    const bundle = deps.identity.bundle(key.mesh) ?? deliveredBundle;
    if (bundle === undefined) return;
    const leaf = deliverableLeaf();
    if (bundle === deliveredBundle && leaf === deliveredLeaf) return;
    const bundleSecret = deps.bundleSecret(bundle);
    offered.set(bundleSecret.version, bundle);
    const next = new Map<string, EncodedResource>([[bundleSecret.name, bundleSecret]]);
    if (leaf?.keyPem !== undefined) {
      const leafSecret =
        leaf === deliveredLeaf
          ? [...secrets.values()].find((secret) => secret.name !== bundleSecret.name)!
          : identitySecret(key.mesh, { chainPem: leaf.chainPem, keyPem: leaf.keyPem });
      next.set(leafSecret.name, leafSecret);
    }
    secrets = next;
    deliveredBundle = bundle;
    if (leaf !== deliveredLeaf) {
      deliveredLeaf = leaf;
      deliverToLauncher();
    }
    // The same CAs under other names: nothing goes out, so nothing comes back.
    if (acknowledgedBundle?.version === bundle.version) acknowledge(bundle, acknowledgedLeaf);
  }

  function deliverToLauncher(): void {
    if (deliveredLeaf === undefined || launcher === undefined) return;
    deps.events.sent(key, stream.id, TYPE.secret);
    launcher(deliveredLeaf);
  }

  /** Envoy uses the delivered leaf, as far as that is not told by an ACK of its secrets. */
  function isLeafInUse(): boolean {
    return deliveredLeaf !== undefined && (!viaLauncher || launcherLeaf === deliveredLeaf.serial);
  }

  function reject(type: TypeUrl, names: readonly string[], message: string): void {
    deps.events.nacked(key, stream.id, type);
    rejections = [...rejections.slice(-9), { type, names, message: message.slice(0, 1000) }];
    deps.events.rejections(key, stream.id, rejections);
  }

  function dropRejections(isOver: (rejection: Rejection) => boolean): void {
    const left = rejections.filter((rejection) => !isOver(rejection));
    if (left.length === rejections.length) return;
    rejections = left;
    deps.events.rejections(key, stream.id, rejections);
  }

  /** What the proxy trusts and presents; told when it is news. */
  function acknowledge(bundle: TrustBundle, leaf: HeldLeaf | undefined): void {
    if (bundle === acknowledgedBundle && leaf === acknowledgedLeaf) return;
    acknowledgedBundle = bundle;
    acknowledgedLeaf = leaf;
    deps.events.secretsAcknowledged(key, stream.id, deps.describeSecrets(bundle, leaf));
  }

  /** The newest leaf when this proxy trusts what signed it, else the one it has. */
  function deliverableLeaf(): HeldLeaf | undefined {
    const { leaf } = deps.identity.state(key);
    if (leaf === undefined || leaf === deliveredLeaf) return deliveredLeaf;
    // One that was issued before its key moved, and is about to be replaced.
    if ((leaf.keyId !== undefined) !== viaLauncher) return deliveredLeaf;
    if (acknowledgedBundle === undefined || !deps.identity.verifies(leaf, acknowledgedBundle.pem)) return deliveredLeaf;
    // What it presents now must not run out meanwhile.
    const canWait = deliveredLeaf === undefined || deliveredLeaf.notAfter - deps.now() > LEAST_LIFE_MS;
    return canWait && !deps.peersTrust(key, leaf) ? deliveredLeaf : leaf;
  }

  return {
    key,
    metadata,
    stream,
    services: () => generated?.services ?? NO_SERVICES,
    refresh,
    identityChanged: push,
    setLauncher(deliver) {
      launcher = deliver;
      deliverToLauncher();
    },
    launcherSaid(serial, problem) {
      const name = identitySecretName(key.mesh);
      if (problem !== undefined) {
        reject(TYPE.secret, [name], problem);
        return;
      }
      deps.events.acked(key, stream.id, TYPE.secret);
      dropRejections(({ names }) => names.includes(name));
      launcherLeaf = serial;
      if (!isLeafInUse() || acknowledgedBundle === undefined || acknowledgedBundle !== deliveredBundle) return;
      deps.leafAccepted(key);
      acknowledge(acknowledgedBundle, deliveredLeaf);
    },
    onAck(ack) {
      deps.events.acked(key, stream.id, ack.typeUrl);
      dropRejections(({ type, names }) => type === ack.typeUrl && accepts(ack, names));
      if (ack.typeUrl !== TYPE.secret || deliveredBundle === undefined) return;
      const leafTaken =
        isLeafInUse() && [...secrets.values()].every(({ name, version }) => ack.accepted.get(name) === version);
      if (leafTaken) deps.leafAccepted(key);
      const version = ack.accepted.get(deps.bundleSecret(deliveredBundle).name);
      const bundle = (version === undefined ? undefined : offered.get(version)) ?? acknowledgedBundle;
      if (bundle === undefined) return;
      const isNews = bundle !== acknowledgedBundle;
      acknowledge(bundle, leafTaken ? deliveredLeaf : acknowledgedLeaf);
      if (!isNews) return;
      deps.bundleAccepted(key, bundle);
      const { distrustEpoch = epoch } = bundle;
      const distrustsMore = distrustEpoch > epoch;
      epoch = distrustEpoch;
      for (const [offeredVersion, other] of offered)
        if (other !== bundle && other !== deliveredBundle) offered.delete(offeredVersion);
      if (distrustsMore && current !== undefined) refresh(current);
      else push();
    },
    onNack(nack) {
      reject(nack.typeUrl, nack.names, nack.message);
    },
  };

  /** True when the proxy now holds the wanted version of each of these, or they are not wanted any more. */
  function accepts(ack: Ack, names: readonly string[]): boolean {
    const wanted = ack.typeUrl === TYPE.secret ? secrets : pushedResources?.get(ack.typeUrl);
    return names.every((name) => {
      const resource = wanted?.get(name);
      return resource === undefined || ack.accepted.get(name) === resource.version;
    });
  }
}

/** Encodes each trust bundle once. */
export function createBundleSecrets(): (bundle: TrustBundle) => EncodedResource {
  const encoded = new WeakMap<TrustBundle, EncodedResource>();
  return (bundle) => {
    let secret = encoded.get(bundle);
    if (secret === undefined) {
      secret = trustBundleSecret(bundle);
      encoded.set(bundle, secret);
    }
    return secret;
  };
}
