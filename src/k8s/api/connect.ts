import { type Clock, systemClock } from '../../lib/clock.ts';
import type { KubeClient, ListOptions, PatchType, WatchEvent, WatchOptions } from './client.ts';
import { type ClusterLocation, findCredentials } from './credentials.ts';
import { apiVersionOf, type KubeObject, type ObjectMeta, type ResourceType, resourcePath } from './object.ts';
import { createTransport, type KubeRequest, type Transport } from './transport.ts';
import { parseWatch } from './watch-lines.ts';

export interface ConnectOptions extends ClusterLocation {
  /** Most time for one call; default 30,000. */
  readonly deadlineMs?: number;
  /** Parallel calls; default 64. There is no other limit: the API server has its own, and says so (`throttled`). */
  readonly connections?: number;
  readonly clock?: Clock;
}

const DEADLINE_MS = 30_000;
const CONNECTIONS = 64;
/** Owner of the fields that a server-side apply sets. */
const FIELD_MANAGER = 'weft';

const PATCH_CONTENT: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

/**
 * A client for the API server that `location` names. Reads credentials, opens no connection yet: a server that is down shows at the first call.
 * The HTTP library and what reads a kubeconfig are loaded here, so a program without Kubernetes does not pay for them.
 * Throws `KubeError` (`unavailable`) when no server is named or the kubeconfig cannot be read. The owner calls `close`.
 */
export async function connectKubernetes(options: ConnectOptions): Promise<KubeClient> {
  const credentials = await findCredentials(options);
  return createKubeClient(
    await createTransport({
      credentials,
      clock: options.clock ?? systemClock,
      deadlineMs: options.deadlineMs ?? DEADLINE_MS,
      connections: options.connections ?? CONNECTIONS,
    }),
  );
}

/** The client's calls as HTTP requests, and their answers as objects. */
function createKubeClient(transport: Transport): KubeClient {
  const calls = new Map<string, number>();

  function count(verb: string, plural: string): void {
    const key = `${verb} ${plural}`;
    calls.set(key, (calls.get(key) ?? 0) + 1);
  }

  /** One call for JSON; `verb` is the one that RBAC knows. */
  async function ask<T>(
    verb: string,
    type: ResourceType,
    at: { readonly namespace?: string; readonly name?: string; readonly subresource?: string },
    request: Pick<KubeRequest, 'method' | 'body' | 'contentType' | 'signal'> & { readonly query?: Query },
  ): Promise<T> {
    const plural = at.subresource === undefined ? type.plural : `${type.plural}/${at.subresource}`;
    count(verb, plural);
    const text = await transport.call({
      ...request,
      path: resourcePath(type, at) + queryText(request.query ?? {}),
      what: describe(verb, plural, at),
    });
    // The answer of the API server to a call for this type.
    return JSON.parse(text) as T;
  }

  return {
    server: transport.server,
    namespace: transport.namespace,
    calls,
    get: (type, at, options = {}) => ask('get', type, at, { method: 'GET', signal: options.signal }),
    async list<T extends KubeObject>(type: ResourceType, options: ListOptions = {}) {
      const answer = await ask<{ metadata: { resourceVersion?: string; continue?: string }; items: T[] | null }>(
        'list',
        type,
        placeOf(options.namespace),
        { method: 'GET', signal: options.signal, query: listQuery(options) },
      );
      const next = answer.metadata.continue;
      return {
        resourceVersion: answer.metadata.resourceVersion ?? '',
        items: answer.items ?? [],
        ...(next !== undefined && next !== '' && { continue: next }),
      };
    },
    create: (type, object, options = {}) =>
      ask('create', type, placeOf(object.metadata.namespace), {
        method: 'POST',
        body: bodyOf(type, object),
        signal: options.signal,
        query: dryRun(options.dryRun),
      }),
    replace: (type, object, options = {}) =>
      ask(
        'update',
        type,
        { ...nameOf(object.metadata), ...subresource(options.subresource) },
        {
          method: 'PUT',
          body: JSON.stringify(object),
          signal: options.signal,
          query: dryRun(options.dryRun),
        },
      ),
    patch: (type, at, patch, options) =>
      ask(
        'patch',
        type,
        { ...at, ...subresource(options.subresource) },
        {
          method: 'PATCH',
          body: JSON.stringify(patch),
          contentType: PATCH_CONTENT[options.as],
          signal: options.signal,
          query: {
            ...dryRun(options.dryRun),
            fieldManager: options.fieldManager ?? (options.as === 'apply' ? FIELD_MANAGER : undefined),
            force: options.as === 'apply' ? 'true' : undefined,
          },
        },
      ),
    async delete(type, at, options = {}) {
      const preconditions = {
        ...(options.uid !== undefined && { uid: options.uid }),
        ...(options.resourceVersion !== undefined && { resourceVersion: options.resourceVersion }),
      };
      await ask('delete', type, at, {
        method: 'DELETE',
        body: JSON.stringify({ propagationPolicy: 'Background', preconditions }),
        signal: options.signal,
        query: dryRun(options.dryRun),
      });
    },
    async deleteCollection(type, options) {
      await ask('deletecollection', type, placeOf(options.namespace), {
        method: 'DELETE',
        signal: options.signal,
        query: listQuery(options),
      });
    },
    async *watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
      const { signal, namespace } = options;
      const what = describe('watch', type.plural, placeOf(namespace));
      count('watch', type.plural);
      const query = { ...listQuery(options), watch: 'true', allowWatchBookmarks: 'true' };
      try {
        const chunks = await transport.stream({
          method: 'GET',
          path: resourcePath(type, placeOf(namespace)) + queryText(query),
          signal,
          what,
        });
        // Says that the watch stands, also when nothing happens for a while.
        yield { type: 'BOOKMARK', resourceVersion: options.resourceVersion };
        yield* parseWatch<T>(what, chunks);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    async raw<T>(call: Parameters<KubeClient['raw']>[0]) {
      count(call.method.toLowerCase(), 'raw');
      const text = await transport.call({
        method: call.method,
        path: call.path,
        signal: call.signal,
        what: `${call.method} ${call.path}`,
        ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
      });
      return parseAny(text) as T;
    },
    close: () => transport.close(),
  };
}

/** The API server wants to be told what it is sent; what it lists does not always say so itself. */
function bodyOf(type: ResourceType, object: KubeObject): string {
  return JSON.stringify({ apiVersion: apiVersionOf(type), kind: type.kind, ...object });
}

type Query = Readonly<Record<string, string | undefined>>;

function queryText(query: Query): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

function listQuery(options: ListOptions): Query {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit?.toString(),
    continue: options.continue,
    resourceVersion: options.resourceVersion,
  };
}

function dryRun(wanted: boolean | undefined): Query {
  return wanted === true ? { dryRun: 'All' } : {};
}

function placeOf(namespace: string | undefined): { readonly namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}

function nameOf(meta: ObjectMeta): { readonly namespace?: string; readonly name: string } {
  return { ...placeOf(meta.namespace), name: meta.name };
}

function subresource(name: string | undefined): { readonly subresource?: string } {
  return name === undefined ? {} : { subresource: name };
}

/** `create pods shop/web` */
function describe(verb: string, plural: string, at: { readonly namespace?: string; readonly name?: string }): string {
  const place = [at.namespace, at.name].filter((part) => part !== undefined).join('/');
  return place === '' ? `${verb} ${plural}` : `${verb} ${plural} ${place}`;
}

/** `/readyz` and its like answer with plain text. */
function parseAny(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
