import { type KubeClient, KubeError } from '../k8s/api/client.ts';
import { SECRET } from '../k8s/api/core-kinds.ts';
import { kindResourceType } from '../k8s/api/kind-type.ts';
import { apiVersionOf, type KubeObject } from '../k8s/api/object.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { sleep } from '../lib/wait.ts';
import { meshKind } from '../resources/kinds/mesh.ts';
import { secretKind } from '../resources/kinds/secret.ts';
import { secretTypeOf } from '../resources/kubernetes.ts';
import { keyOf, keyText, type Resource } from '../resources/resource.ts';
import { followStore } from '../store/follow.ts';
import type { Change, ResourceStore } from '../store/store.ts';

const MESH = kindResourceType(meshKind);
const BACKOFF = { baseMs: 1000, maxMs: 60_000, jitter: 0.2 };
const ATTEMPTS = 10;

/**
 * Leader task on Kubernetes: a mesh Secret that somebody made with kubectl gets its Mesh as owner once that exists, so that both go together. An owner it has
 * already is left alone. Resolves when `signal` has aborted.
 */
export async function ownSecrets(options: {
  readonly client: KubeClient;
  readonly store: ResourceStore;
  readonly systemNamespace: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { client, store, clock, log, signal } = options;
  /** Secrets that have an owner. */
  const owned = new Set<string>();
  const running = new Map<string, Promise<void>>();

  function follow(change: Change): void {
    if (change.op === 'synced') return;
    if (change.op === 'delete') {
      owned.delete(keyText(change.key));
      return;
    }
    const { resource } = change;
    if (resource.type === 'Secret') begin(resource);
    else {
      store.list({ type: 'Secret', mesh: resource.meta.name }).then(
        ({ items }) => items.forEach(begin),
        (error: unknown) => log.debug('listing the secrets of a mesh failed', { mesh: resource.meta.name, error }),
      );
    }
  }

  function begin(secret: Resource): void {
    const key = keyText(keyOf(secret));
    if (owned.has(key) || running.has(key) || signal.aborted) return;
    running.set(
      key,
      own(secret, key).finally(() => running.delete(key)),
    );
  }

  async function own({ meta }: Resource, key: string): Promise<void> {
    for (let failures = 1; failures <= ATTEMPTS && !signal.aborted; failures += 1) {
      try {
        // Without its Mesh it is looked at again when that is made.
        if (await setOwner(meta.mesh, meta.name)) owned.add(key);
        return;
      } catch (error) {
        if (signal.aborted) return;
        log[failures === 3 ? 'warn' : 'debug']('making a Mesh the owner of its Secret failed, trying again', {
          mesh: meta.mesh,
          secret: meta.name,
          error,
        });
        await sleep(clock, backoffMs(failures, { ...BACKOFF, random: 0 }), signal);
      }
    }
  }

  /** False when there is no such Mesh, or no such Secret of ours. */
  async function setOwner(mesh: string, name: string): Promise<boolean> {
    if ((await store.get({ type: 'Mesh', mesh: '', name: mesh })) === undefined) return false;
    try {
      const { metadata } = await client.get(MESH, { name: mesh }, { signal });
      const at = { namespace: options.systemNamespace, name };
      const secret = await client.get<KubeObject & { readonly type?: string }>(SECRET, at, { signal });
      if (secret.type !== secretTypeOf(secretKind)) return false;
      if ((secret.metadata.ownerReferences ?? []).length > 0) return true;
      const owner = { apiVersion: apiVersionOf(MESH), kind: MESH.kind, name: mesh, uid: metadata.uid ?? '' };
      // Of the version that was read: a conflict is tried again.
      await client.replace(
        SECRET,
        { ...secret, metadata: { ...secret.metadata, ownerReferences: [owner] } },
        { signal },
      );
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.code === 'not-found') return false;
      throw error;
    }
  }

  const retryMs = BACKOFF.baseMs;
  await followStore({ store, clock, log, signal, types: ['Mesh', 'Secret'], what: 'secrets', retryMs }, (batch) =>
    batch.forEach(follow),
  );
  await Promise.allSettled(running.values());
}
