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

  function refresh(snapshot: MeshSnapshot): void {
    const dataplane = snapshot.dataplanes.get(key.name);
    if (dataplane === undefined) {
      deps.identity.want(key, undefined);
      return; // The Dataplane is gone: its Envoy keeps what it has until the stream ends.
    }
    const desired = desiredIdentity(snapshot.mesh, dataplane, deps.leafKeyType);
    mtlsOn = desired !== undefined;
    deps.identity.want(key, desired);
    try {
      generated = generateSidecar({ dataplane, metadata }, snapshot, deps.cache, {
        tlsReady: (service) => deps.tlsReady(snapshot, service),
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
    if (leaf !== undefined) {
      const leafSecret =
        leaf === deliveredLeaf
          ? [...secrets.values()].find((secret) => secret.name !== bundleSecret.name)!
          : identitySecret(key.mesh, leaf);
      next.set(leafSecret.name, leafSecret);
    }
    secrets = next;
    deliveredBundle = bundle;
    deliveredLeaf = leaf;
    // The same CAs under other names: nothing goes out, so nothing comes back.
    if (acknowledgedBundle?.pem === bundle.pem) acknowledge(bundle, acknowledgedLeaf);
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
    onAck(ack) {
      deps.events.acked(key, stream.id, ack.typeUrl);
      const stillRefused = rejections.filter(
        (rejection) => rejection.type !== ack.typeUrl || !accepts(ack, rejection.names),
      );
      if (stillRefused.length !== rejections.length) {
        rejections = stillRefused;
        deps.events.rejections(key, stream.id, rejections);
      }
      if (ack.typeUrl !== TYPE.secret || deliveredBundle === undefined) return;
      const leafTaken =
        deliveredLeaf !== undefined &&
        [...secrets.values()].every(({ name, version }) => ack.accepted.get(name) === version);
      if (leafTaken) deps.leafAccepted(key);
      const version = ack.accepted.get(deps.bundleSecret(deliveredBundle).name);
      const bundle = (version === undefined ? undefined : offered.get(version)) ?? acknowledgedBundle;
      if (bundle === undefined) return;
      const isNews = bundle !== acknowledgedBundle;
      acknowledge(bundle, leafTaken ? deliveredLeaf : acknowledgedLeaf);
      if (!isNews) return;
      deps.bundleAccepted(key, bundle);
      for (const [offeredVersion, other] of offered)
        if (other !== bundle && other !== deliveredBundle) offered.delete(offeredVersion);
      push();
    },
    onNack(nack) {
      deps.events.nacked(key, stream.id, nack.typeUrl);
      const rejection = { type: nack.typeUrl, names: nack.names, message: nack.message.slice(0, 1000) };
      rejections = [...rejections.slice(-9), rejection];
      deps.events.rejections(key, stream.id, rejections);
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
