import type { DesiredIdentity, HeldLeaf, IdentityService, ProxyKey, TrustBundle } from '../identity/identity.ts';
import type { ProxyEvents } from '../insights/proxy-events.ts';
import type { KeyStreamSource } from '../key-stream/server.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import { type DataplaneSpec, tagSetsOf } from '../resources/kinds/dataplane.ts';
import type { Resource } from '../resources/resource.ts';
import type { GenerationCache } from '../xds/generate.ts';
import { XdsError, type XdsSource } from '../xds-server/xds.ts';
import { createSecretsDescription } from './acknowledged.ts';
import { createLauncherKeys } from './launcher-keys.ts';
import type { MeshUpdate, MeshWatcher } from './mesh-watcher.ts';
import { type ProxyNode, parseProxyNode } from './proxy-node.ts';
import type { DataplaneRegistration } from './registration.ts';
import { createRootGate } from './root-gate.ts';
import { createBundleSecrets, createProxySession, type ProxySession } from './session.ts';
import { createTlsReadiness } from './tls-readiness.ts';

/** Who is this proxy, and may it be this Dataplane? Throws `XdsError`. */
export type AuthenticateProxy = (request: {
  readonly token: string;
  readonly node: ProxyNode;
  readonly dataplane: Resource<DataplaneSpec>;
}) => Promise<void>;

export interface XdsSourceOptions {
  readonly watcher: MeshWatcher;
  readonly identity: IdentityService;
  readonly leafKeyType: DesiredIdentity['keyType'];
  readonly cache: GenerationCache;
  readonly events: ProxyEvents;
  readonly registration: DataplaneRegistration;
  readonly authenticate: AuthenticateProxy;
  /** A Dataplane from the text a proxy brought: parsed, defaulted, labelled, validated. Throws with a message for its owner. */
  readonly parseDataplane: (text: string, key: ProxyKey) => Resource<DataplaneSpec>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** From store changes and identity events to pushes: keeps the sessions and knows which of them a change concerns. */
export interface PushSource extends XdsSource {
  sessions(): Iterable<ProxySession>;
  session(key: ProxyKey): ProxySession | undefined;
  /**
   * Asks again whether the proxies of a mesh ('' : of all), or only the one that `dataplane` names, may be here, and ends the streams of those that
   * may not: a revoked token ends a live stream.
   */
  authenticateAgain(mesh: string, dataplane?: string): Promise<void>;
  /** Launchers that make the keys of the proxies here. */
  readonly launchers: KeyStreamSource;
  close(): void;
}

/** From a proxy's yes to its leaf until its workers listen with it. Milliseconds. */
const SETTLE_MS = 250;
/** Work on sessions is cut into slices of this length so that streams and requests are served in between. Milliseconds. */
const SLICE_MS = 10;

export function createXdsSource(options: XdsSourceOptions): PushSource {
  const { watcher, identity, events, log } = options;
  const meshes = new Map<string, Map<string, ProxySession>>();
  const bundleSecret = createBundleSecrets();
  /** Who is behind each session, for `authenticateAgain`. */
  const nodes = new WeakMap<ProxySession, ProxyNode>();
  const readiness = createTlsReadiness();
  const rootGate = createRootGate({
    clock: options.clock,
    verifies: (leaf, pem) => identity.verifies(leaf, pem),
    wake(mesh) {
      for (const session of meshes.get(mesh)?.values() ?? []) session.identityChanged();
    },
  });
  const launchers = createLauncherKeys({
    identity,
    session: (key) => meshes.get(key.mesh)?.get(key.name),
    authenticate: mayBeHere,
    clock: options.clock,
    log,
  });
  /** Sessions that must look at their newest snapshot; a set, so that a newer change supersedes an older one. */
  const dirty = new Set<ProxySession>();
  let draining = false;

  function markDirty(sessions: Iterable<ProxySession>): void {
    for (const session of sessions) dirty.add(session);
    if (!draining && dirty.size > 0) {
      draining = true;
      drain();
    }
  }

  function drain(): void {
    const start = performance.now();
    for (const session of dirty) {
      dirty.delete(session);
      const snapshot = watcher.snapshot(session.key.mesh);
      if (snapshot !== undefined) session.refresh(snapshot);
      if (performance.now() - start > SLICE_MS) {
        setImmediate(drain);
        return;
      }
    }
    draining = false;
  }

  function concerned(update: MeshUpdate): Iterable<ProxySession> {
    const sessions = meshes.get(update.mesh);
    if (sessions === undefined) return [];
    if (update.meshChanged || update.policiesChanged) return sessions.values();
    const found = new Set<ProxySession>();
    for (const name of update.touchedDataplanes) {
      const session = sessions.get(name);
      if (session) found.add(session);
    }
    if (update.changedServices.size > 0) {
      for (const session of sessions.values()) if (uses(session, update.changedServices)) found.add(session);
    }
    return found;
  }

  /** Whether the proxy of a session is still allowed. Throws `XdsError`. */
  async function mayBeHere(session: ProxySession): Promise<void> {
    const { key, stream } = session;
    const dataplane = watcher.snapshot(key.mesh)?.dataplanes.get(key.name);
    const node = nodes.get(session);
    if (dataplane !== undefined && node !== undefined)
      await options.authenticate({ token: stream.authorization, node, dataplane });
  }

  const isConnected = (mesh: string) => (dataplane: string) => meshes.get(mesh)?.has(dataplane) ?? false;

  /** A service may have become ready with this proxy: its clients look again, once for each service and not for each of its proxies. */
  function takesTls(key: ProxyKey): void {
    const snapshot = watcher.snapshot(key.mesh);
    const dataplane = snapshot?.dataplanes.get(key.name);
    if (snapshot === undefined || dataplane === undefined || !readiness.taken(key.mesh, key.name)) return;
    const offered = tagSetsOf(dataplane.spec).flatMap((tags) => tags['kuma.io/service'] ?? []);
    const services = readiness.news(snapshot, offered, isConnected(key.mesh));
    if (services.size === 0) return;
    const clients = [...(meshes.get(key.mesh)?.values() ?? [])].filter((session) => uses(session, services));
    markDirty(clients);
  }

  const sessionDependencies = {
    identity,
    now: () => options.clock.now(),
    leafKeyType: options.leafKeyType,
    cache: options.cache,
    events,
    bundleSecret,
    describeSecrets: createSecretsDescription(),
    tlsReady: (snapshot: MeshSnapshot, service: string) =>
      readiness.ready(snapshot, service, isConnected(snapshot.name)),
    peersTrust: (key: ProxyKey, leaf: HeldLeaf) => rootGate.opens(key.mesh, leaf),
    bundleAccepted: (key: ProxyKey, bundle: TrustBundle) => rootGate.acknowledged(key.mesh, key.name, bundle),
    leafAccepted: (key: ProxyKey) => void options.clock.after(SETTLE_MS, () => takesTls(key)),
  };

  const unsubscribe = [
    watcher.subscribe((update) => {
      if (!update.snapshot.mesh?.spec.mtls?.enabledBackend) readiness.off(update.mesh);
      if (update.meshChanged) identity.setMesh(update.mesh, update.snapshot.mesh?.spec.mtls);
      markDirty(concerned(update));
    }),
    identity.subscribe((event) => {
      if (event.kind === 'backends') return;
      if (event.kind === 'distrust') {
        markDirty(meshes.get(event.mesh)?.values() ?? []);
        return;
      }
      if (event.kind === 'bundle') {
        rootGate.bundle(event.mesh, event.bundle);
        for (const session of meshes.get(event.mesh)?.values() ?? []) session.identityChanged();
      } else {
        meshes.get(event.proxy.mesh)?.get(event.proxy.name)?.identityChanged();
        events.identityChanged(event.proxy);
      }
    }),
  ];

  return {
    sessions: function* () {
      for (const sessions of meshes.values()) yield* sessions.values();
    },
    session: (key) => meshes.get(key.mesh)?.get(key.name),
    launchers,
    async authenticateAgain(mesh, only) {
      for (const [name, sessions] of meshes) {
        if (mesh !== '' && name !== mesh) continue;
        for (const session of [...sessions.values()]) {
          if (only !== undefined && session.key.name !== only) continue;
          try {
            await mayBeHere(session);
          } catch (error) {
            // A store that does not answer is no reason to send anybody away.
            if (!(error instanceof XdsError) || error.code === 'unavailable') continue;
            log.info('proxy is not allowed any more, ending its stream', {
              mesh: name,
              dataplane: session.key.name,
              reason: error.message,
            });
            session.stream.end(error);
          }
        }
      }
    },
    close() {
      for (const stop of unsubscribe) stop();
      rootGate.close();
    },

    async open(stream) {
      const node = parseProxyNode(stream.node);
      const { key } = node;
      const brought = node.resourceText === undefined ? undefined : readDataplane(options, node);
      const dataplane = brought ?? watcher.snapshot(key.mesh)?.dataplanes.get(key.name);
      if (dataplane === undefined) {
        throw new XdsError(
          'not-found',
          `serve proxy ${stream.node.id}: no such Dataplane; apply it, or start the proxy with --dataplane-file`,
        );
      }
      await options.authenticate({ token: stream.authorization, node, dataplane });
      if (brought !== undefined) {
        try {
          await options.registration.register(brought);
        } catch (error) {
          throw new XdsError(
            'unavailable',
            `store Dataplane ${key.name} of mesh ${key.mesh}: the store did not take it`,
            { cause: error },
          );
        }
      }

      const session = createProxySession(key, node.metadata, stream, sessionDependencies);
      // It comes back with the leaf it had, and has been serving with it all along.
      if (identity.state(key).leaf !== undefined) readiness.taken(key.mesh, key.name);
      nodes.set(session, node);
      let sessions = meshes.get(key.mesh);
      if (sessions === undefined) {
        sessions = new Map();
        meshes.set(key.mesh, sessions);
      }
      // A second stream of the same proxy takes over; the former one ends by itself or is a stale connection.
      sessions.set(key.name, session);
      events.connected(key, stream.id, node.versions);
      log.debug('proxy connected', {
        mesh: key.mesh,
        dataplane: key.name,
        peer: stream.peer,
        protocol: stream.protocol,
      });
      markDirty([session]);
      launchers.sessionOpened(session);

      return {
        onSent: (typeUrl) => events.sent(key, stream.id, typeUrl),
        onAck: (ack) => session.onAck(ack),
        onNack(nack) {
          log.warn('proxy refused configuration', {
            mesh: key.mesh,
            dataplane: key.name,
            type: nack.typeUrl,
            names: nack.names,
            reason: nack.message,
          });
          session.onNack(nack);
        },
        onClose() {
          dirty.delete(session);
          if (sessions.get(key.name) === session) {
            sessions.delete(key.name);
            identity.want(key, undefined);
            readiness.gone(key.mesh, key.name);
            rootGate.acknowledged(key.mesh, key.name, undefined);
            launchers.sessionClosed(key);
          }
          events.disconnected(key, stream.id);
          if (brought !== undefined) options.registration.release(key);
        },
      };
    },
  };
}

function uses(session: ProxySession, services: ReadonlySet<string>): boolean {
  const used = session.services();
  if (used === 'all') return true;
  const [small, large] = used.size < services.size ? [used, services] : [services, used];
  for (const name of small) if (large.has(name)) return true;
  return false;
}

function readDataplane(options: XdsSourceOptions, node: ProxyNode): Resource<DataplaneSpec> {
  try {
    return options.parseDataplane(node.resourceText!, node.key);
  } catch (error) {
    throw new XdsError(
      'invalid-argument',
      `read the Dataplane that proxy ${node.key.mesh}.${node.key.name} brought: ${error instanceof Error ? error.message : error}`,
    );
  }
}
