import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jsonPatch, { type Operation } from 'fast-json-patch';

/**
 * A small Kubernetes API server over real HTTP, for unit tests: collections of any kind, resource versions, watches with bookmarks, selectors,
 * preconditions, a `status` subresource. No schemas, no rights, no garbage collection: what those do is tested against a real one.
 */
export interface FakeApiServer {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Path of a kubeconfig for it, namespace `test`. */
  readonly kubeconfig: string;
  /** Every request so far, `GET /api/v1/pods?watch=true`. */
  readonly requests: readonly string[];
  /** Objects of one collection, such as `pods` or `certificaterequests`. */
  objects(plural: string): readonly FakeObject[];
  /** Creates or replaces from outside, as another client would. `path` is the collection's: `/api/v1/namespaces/shop/pods`. Returns it as stored. */
  put(path: string, object: FakeObject): FakeObject;
  /** Deletes from outside; `path` is the object's. */
  remove(path: string): void;
  /** Answers a request itself when it returns `true`; looked at before anything else. `undefined` takes it away. */
  interceptor: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Sends every watch a bookmark with the newest version. */
  bookmark(): void;
  /** Forgets history: a watch from an older version gets 410. */
  compact(): void;
  /** Cuts the connection of every open watch. */
  cut(): void;
  /** Number of open watches. */
  watches(): number;
  /** Stops listening and cuts everything; `resume` listens on the same port again. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

export interface FakeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: { readonly name?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

interface Place {
  /** `apis/kuma.io/v1alpha1/meshes`: one collection over all namespaces. */
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

interface HistoryEvent {
  readonly version: number;
  readonly collection: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
  readonly before: FakeObject | undefined;
}

interface Watch {
  readonly response: ServerResponse;
  readonly place: Place;
  readonly matches: (object: FakeObject) => boolean;
}

export async function startFakeApiServer(): Promise<FakeApiServer> {
  const collections = new Map<string, Map<string, FakeObject>>();
  const watches = new Set<Watch>();
  const requests: string[] = [];
  let history: HistoryEvent[] = [];
  let version = 100;
  let oldest = 0;
  let interceptor: FakeApiServer['interceptor'];

  const shelf = (collection: string) => {
    let found = collections.get(collection);
    if (found === undefined) {
      found = new Map();
      collections.set(collection, found);
    }
    return found;
  };

  function record(place: Place, type: HistoryEvent['type'], object: FakeObject, before: FakeObject | undefined) {
    const event = { version, collection: place.collection, type, object, before };
    history.push(event);
    for (const watch of watches) send(watch, event);
  }

  /** As a real server: an object that leaves the selection is deleted for that watch, one that enters is added. */
  function send(watch: Watch, event: HistoryEvent): void {
    if (event.collection !== watch.place.collection) return;
    const { namespace } = watch.place;
    if (namespace !== undefined && event.object.metadata['namespace'] !== namespace) return;
    const was = event.before !== undefined && watch.matches(event.before);
    const is = event.type !== 'DELETED' && watch.matches(event.object);
    if (!was && !is) return;
    const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED';
    watch.response.write(`${JSON.stringify({ type, object: event.object })}\n`);
  }

  function store(place: Place, incoming: FakeObject, before: FakeObject | undefined): FakeObject {
    version += 1;
    const { status: _status, ...rest } = incoming;
    const body =
      place.subresource === 'status'
        ? { ...before, status: incoming['status'] }
        : before !== undefined && before['status'] !== undefined
          ? { ...rest, status: before['status'] }
          : incoming;
    const object = {
      ...body,
      metadata: {
        ...(place.subresource === 'status' ? before!.metadata : incoming.metadata),
        ...(place.namespace !== undefined && { namespace: place.namespace }),
        name: place.name ?? incoming.metadata.name ?? `${String(incoming.metadata['generateName'])}${version}`,
        uid: before?.metadata['uid'] ?? `uid-${version}`,
        creationTimestamp: before?.metadata['creationTimestamp'] ?? new Date().toISOString(),
        resourceVersion: String(version),
        managedFields: [{ manager: 'test' }],
      },
    };
    shelf(place.collection).set(keyText(object), object);
    record(place, before === undefined ? 'ADDED' : 'MODIFIED', object, before);
    return object;
  }

  function remove(place: Place, object: FakeObject): void {
    version += 1;
    shelf(place.collection).delete(keyText(object));
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    record(place, 'DELETED', last, object);
  }

  function answer(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  function refuse(response: ServerResponse, code: number, reason: string, message: string): void {
    answer(response, code, { kind: 'Status', status: 'Failure', code, reason, message });
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    requests.push(`${request.method} ${request.url}`);
    if (interceptor?.(request, response)) return;
    const url = new URL(request.url!, 'http://fake');
    const text = await readText(request);
    const body = text === '' ? undefined : JSON.parse(text);
    if (url.pathname === '/version') return answer(response, 200, { gitVersion: 'v1.37.2' });
    const place = parsePath(url.pathname);
    if (place === undefined) return refuse(response, 404, 'NotFound', 'no such path');
    const query = url.searchParams;
    const matches = selector(query.get('labelSelector'), query.get('fieldSelector'));
    const key = `${place.namespace ?? ''}/${place.name ?? body?.metadata?.name}`;
    const before = shelf(place.collection).get(key);
    if (place.name === undefined && request.method === 'GET') {
      if (query.get('watch') === 'true')
        return openWatch(place, matches, Number(query.get('resourceVersion')), response);
      return list(place, matches, query, response);
    }
    if (place.name === undefined && request.method === 'DELETE') {
      for (const object of all(place, matches)) remove(place, object);
      return answer(response, 200, { kind: 'Status', status: 'Success' });
    }
    if (request.method === 'POST') {
      if (before !== undefined) return refuse(response, 409, 'AlreadyExists', `${key} already exists`);
      return answer(response, 201, query.has('dryRun') ? body : store(place, body, undefined));
    }
    if (before === undefined && !isApply(request)) return refuse(response, 404, 'NotFound', `${key} not found`);
    switch (request.method) {
      case 'GET':
        return answer(response, 200, before);
      case 'PUT':
      case 'PATCH': {
        const next = request.method === 'PUT' || before === undefined ? body : patched(request, before, body);
        if (next === undefined) return refuse(response, 422, 'Invalid', `${key}: the patch does not apply`);
        const wanted = next.metadata.resourceVersion;
        if (before !== undefined && wanted !== undefined && wanted !== before.metadata['resourceVersion'])
          return refuse(response, 409, 'Conflict', `${key}: the object has been modified`);
        return answer(response, 200, query.has('dryRun') ? next : store(place, next, before));
      }
      case 'DELETE': {
        const { uid: wantedUid, resourceVersion } = body?.preconditions ?? {};
        if (
          (wantedUid !== undefined && wantedUid !== before!.metadata['uid']) ||
          (resourceVersion !== undefined && resourceVersion !== before!.metadata['resourceVersion'])
        )
          return refuse(response, 409, 'Conflict', `${key}: precondition failed`);
        remove(place, before!);
        return answer(response, 200, { kind: 'Status', status: 'Success' });
      }
      default:
        return refuse(response, 405, 'MethodNotAllowed', 'no such method');
    }
  }

  function all(place: Place, matches: (object: FakeObject) => boolean): FakeObject[] {
    return [...shelf(place.collection).values()].filter(
      (object) =>
        (place.namespace === undefined || object.metadata['namespace'] === place.namespace) && matches(object),
    );
  }

  function list(
    place: Place,
    matches: (object: FakeObject) => boolean,
    query: URLSearchParams,
    response: ServerResponse,
  ) {
    const found = all(place, matches);
    const start = Number(query.get('continue') ?? 0);
    const end = start + Number(query.get('limit') ?? found.length);
    answer(response, 200, {
      metadata: { resourceVersion: String(version), ...(end < found.length && { continue: String(end) }) },
      items: found.slice(start, end),
    });
  }

  function openWatch(place: Place, matches: (object: FakeObject) => boolean, from: number, response: ServerResponse) {
    if (from < oldest) return refuse(response, 410, 'Expired', 'too old resource version');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { response, place, matches };
    for (const event of history) if (event.version > from) send(watch, event);
    watches.add(watch);
    response.on('close', () => watches.delete(watch));
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => refuse(response, 500, 'InternalError', String(error)));
  });
  const listen = (port: number) =>
    new Promise<number>((resolve) =>
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    );
  const pause = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const port = await listen(0);
  const url = `http://127.0.0.1:${port}`;
  const directory = await mkdtemp(join(tmpdir(), 'weft-fake-api-'));
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'fake',
      clusters: [{ name: 'fake', cluster: { server: url } }],
      users: [{ name: 'fake', user: {} }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake', namespace: 'test' } }],
    }),
  );

  return {
    url,
    kubeconfig,
    requests,
    objects: (plural) =>
      [...collections].filter(([name]) => name.endsWith(`/${plural}`)).flatMap(([, found]) => [...found.values()]),
    put(path, object) {
      const place = parsePath(path)!;
      const before = shelf(place.collection).get(`${place.namespace ?? ''}/${object.metadata.name}`);
      return store(place, object, before);
    },
    remove(path) {
      const place = parsePath(path)!;
      remove(place, shelf(place.collection).get(`${place.namespace ?? ''}/${place.name}`)!);
    },
    get interceptor() {
      return interceptor;
    },
    set interceptor(next) {
      interceptor = next;
    },
    bookmark() {
      const object = { metadata: { resourceVersion: String(version) } };
      for (const { response } of watches) response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    },
    compact() {
      history = [];
      version += 1;
      oldest = version;
    },
    cut() {
      for (const { response } of watches) response.destroy();
    },
    watches: () => watches.size,
    pause,
    async resume() {
      await listen(port);
    },
    async close() {
      await pause();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** `undefined` for what is no path of a collection, an object or its subresource. */
function parsePath(path: string): Place | undefined {
  const parts = path.slice(1).split('/').map(decodeURIComponent);
  const root = parts.splice(0, parts[0] === 'api' ? 2 : 3);
  const nested = parts[0] === 'namespaces' && parts.length > 2;
  const namespace = nested ? parts.splice(0, 2)[1] : undefined;
  const [plural, name, subresource] = parts;
  return plural === undefined ? undefined : { collection: [...root, plural].join('/'), namespace, name, subresource };
}

function keyText(object: FakeObject): string {
  return `${object.metadata['namespace'] ?? ''}/${object.metadata.name}`;
}

/** `a=b`, `a==b`, `a!=b`, `a`, `!a`, joined by commas; fields by their dotted path. */
function selector(labels: string | null, fields: string | null): (object: FakeObject) => boolean {
  const test = (text: string | null, value: (object: FakeObject, key: string) => unknown) =>
    (text ?? '')
      .split(',')
      .filter((part) => part !== '')
      .map((part) => {
        const [, key = '', operator, wanted] = /^(!?[^=!]+)(==|=|!=)?(.*)$/.exec(part)!;
        if (operator === undefined) {
          return (object: FakeObject) =>
            key.startsWith('!') ? value(object, key.slice(1)) === undefined : value(object, key) !== undefined;
        }
        return (object: FakeObject) => (String(value(object, key) ?? '') === wanted) === (operator !== '!=');
      });
  const tests = [
    ...test(labels, (object, key) => (object.metadata['labels'] as Record<string, unknown> | undefined)?.[key]),
    ...test(fields, (object, key) =>
      key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], object),
    ),
  ];
  return (object) => tests.every((one) => one(object));
}

function isApply(request: IncomingMessage): boolean {
  return request.method === 'PATCH' && request.headers['content-type'] === 'application/apply-patch+yaml';
}

/** The object with a JSON patch (RFC 6902) or a merge patch; `undefined`: a test in it fails. */
function patched(request: IncomingMessage, before: FakeObject, patch: unknown): FakeObject | undefined {
  if (request.headers['content-type'] !== 'application/json-patch+json') return merge(before, patch) as FakeObject;
  try {
    return jsonPatch.applyPatch(structuredClone(before), patch as Operation[], true).newDocument;
  } catch {
    return undefined;
  }
}

/** RFC 7396. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merge(out[key], value);
  }
  return out;
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
