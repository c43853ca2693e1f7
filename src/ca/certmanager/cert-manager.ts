/**
 * cert-manager as CA of meshes, what the backends of one process share.
 *
 * ```
 * cert-manager.ts    the one watch of our CertificateRequests and of the issuers, for all meshes and backends
 * requests.ts        create, wait, delete, sweep
 * backend.ts         one backend: CSR and names ──> CertificateRequest ──> answer arranged for the checks of identity/
 * conf.ts, issuer.ts, request.ts, verdict.ts, problem.ts, name-template.ts    pure
 * ```
 */
import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../../k8s/api/client.ts';
import { apiVersionOf, type OwnerReference, type ResourceType } from '../../k8s/api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Metrics } from '../../lib/metrics.ts';
import { CERT_MANAGER_GROUP, type IssuerRef } from './conf.ts';
import type { KnownIssuers } from './issuer.ts';
import { CLUSTER_ISSUER, ISSUER, type Issuer } from './objects.ts';
import { issuersForbidden } from './problem.ts';
import { type CertificateRequests, createCertificateRequests } from './requests.ts';
import { type Watched, watchWhenAllowed } from './watched.ts';

/** Made once by the composition root and handed to every backend through `CaDependencies`. Starts to watch when the first backend is opened. */
export interface CertManager {
  readonly client: KubeClient;
  readonly systemNamespace: string;
  readonly instanceId: string;
  readonly zone: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly requests: CertificateRequests;
  /** Resolves when everything is watched, or it is known why it can't be. */
  settled(): Promise<void>;
  /** Issuers of `kind`; `undefined` while they can't be seen. */
  issuers(kind: IssuerRef['kind']): KnownIssuers;
  /** Calls `listener` when an issuer, or what can be watched, changes. Returns the unsubscriber. */
  subscribe(listener: () => void): () => void;
  /** The Mesh object, as owner of what is made for it; `undefined` when it cannot be read. */
  ownerOf(mesh: string): Promise<OwnerReference | undefined>;
  /** 16 hex digits. */
  newId(): string;
  close(): Promise<void>;
}

const MESH: ResourceType = { group: 'kuma.io', version: 'v1alpha1', plural: 'meshes', kind: 'Mesh', namespaced: false };

export function createCertManager(options: {
  client: KubeClient;
  systemNamespace: string;
  /** Of this process. */
  instanceId: string;
  zone: string;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  log: Logger;
  metrics: Metrics;
}): CertManager {
  const { client, systemNamespace: namespace, clock, log } = options;
  const listeners = new Set<() => void>();
  let opened: { requests: CertificateRequests; issuers: ReadonlyMap<string, Watched<Issuer>> } | undefined;
  const told = new Set<string>();

  const changed = () => {
    for (const listener of [...listeners]) listener();
  };

  function open() {
    if (opened !== undefined) return opened;
    const watchIssuers = (type: ResourceType, place: { namespace?: string }): Watched<Issuer> => {
      const watched: Watched<Issuer> = watchWhenAllowed<Issuer>({
        client,
        type,
        ...place,
        clock,
        log,
        changed: () => {
          const { problem } = watched;
          if (problem?.code === 'forbidden' && !told.has(type.kind)) {
            told.add(type.kind);
            log.warn('issuers are not watched', { reason: issuersForbidden(type.kind, problem) });
          }
          changed();
        },
      });
      return watched;
    };
    opened = {
      requests: createCertificateRequests({ ...options, namespace, changed }),
      issuers: new Map([
        [ISSUER.kind, watchIssuers(ISSUER, { namespace })],
        [CLUSTER_ISSUER.kind, watchIssuers(CLUSTER_ISSUER, {})],
      ]),
    };
    return opened;
  }

  return {
    client,
    systemNamespace: namespace,
    instanceId: options.instanceId,
    zone: options.zone,
    clock,
    log,
    get requests() {
      return open().requests;
    },
    async settled() {
      const { requests, issuers } = open();
      await Promise.all([requests.settled, ...[...issuers.values()].map((one) => one.settled)]);
    },
    issuers(kind) {
      const watch = open().issuers.get(kind)?.watch;
      return watch === undefined
        ? undefined
        : new Map([...watch.items()].map((issuer) => [issuer.metadata.name, issuer]));
    },
    subscribe(listener) {
      open();
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async ownerOf(mesh) {
      try {
        const { metadata } = await client.get(MESH, { name: mesh });
        if (metadata.uid === undefined) return undefined;
        return { apiVersion: apiVersionOf(MESH), kind: MESH.kind, name: mesh, uid: metadata.uid };
      } catch (error) {
        log.debug('reading a Mesh object failed, its CertificateRequests have no owner', { mesh, error });
        return undefined;
      }
    },
    newId: () => randomBytes(8).toString('hex'),
    async close() {
      listeners.clear();
      if (opened === undefined) return;
      await Promise.all([opened.requests.close(), ...[...opened.issuers.values()].map((one) => one.close())]);
    },
  };
}

/** True for cert-manager's own kinds, which are watched. */
export function isOwnGroup({ group }: IssuerRef): boolean {
  return group === CERT_MANAGER_GROUP;
}
