import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import { type KubeClient, KubeError, type WatchEvent } from './client.ts';
import { connectKubernetes } from './connect.ts';
import type { KubeObject, ResourceType } from './object.ts';

const PODS: ResourceType = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true };
const MESHES: ResourceType = {
  group: 'kuma.io',
  version: 'v1alpha1',
  plural: 'meshes',
  kind: 'Mesh',
  namespaced: false,
};

interface Thing extends KubeObject {
  readonly spec?: { readonly value?: number };
  readonly status?: unknown;
}

const pod = (name: string, value = 0): Thing => ({ metadata: { namespace: 'shop', name }, spec: { value } });

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (!(error instanceof KubeError)) throw new Error(`expected a KubeError, got ${String(error)}`);
  return error.code;
}

describe('connectKubernetes', () => {
  let server: FakeApiServer;
  let client: KubeClient;

  beforeEach(async () => {
    server = await startFakeApiServer();
    client = await connectKubernetes({ kubeconfig: server.kubeconfig, deadlineMs: 2000 });
  });
  afterEach(async () => {
    await client.close();
    await server.close();
  });

  it('creates, reads, replaces, patches, lists and deletes, and counts what it did', async () => {
    const made = await client.create<Thing>(PODS, pod('web', 1));
    expect(made.metadata).toMatchObject({ name: 'web', namespace: 'shop', uid: expect.any(String) });
    expect(await client.get(PODS, { namespace: 'shop', name: 'web' })).toEqual(made);
    const second = await client.replace<Thing>(PODS, { ...made, spec: { value: 2 } });
    expect(second.spec).toEqual({ value: 2 });
    const third = await client.patch<Thing>(
      PODS,
      { namespace: 'shop', name: 'web' },
      { spec: { value: 3 } },
      { as: 'merge' },
    );
    expect(third.spec).toEqual({ value: 3 });
    const withStatus = await client.replace<Thing>(
      PODS,
      { ...third, status: { ready: true } },
      { subresource: 'status' },
    );
    expect([withStatus.spec, withStatus.status]).toEqual([{ value: 3 }, { ready: true }]);
    expect((await client.list(PODS)).items).toHaveLength(1);
    expect((await client.list(PODS, { namespace: 'other' })).items).toEqual([]);
    await client.delete(PODS, { namespace: 'shop', name: 'web' });
    expect(await codeOf(client.get(PODS, { namespace: 'shop', name: 'web' }))).toBe('not-found');
    expect(Object.fromEntries(client.calls)).toEqual({
      'create pods': 1,
      'get pods': 2,
      'update pods': 1,
      'update pods/status': 1,
      'patch pods': 1,
      'list pods': 2,
      'delete pods': 1,
    });
  });

  it('reaches cluster-scoped kinds, pages and selectors', async () => {
    for (const name of ['a', 'b', 'c']) await client.create(MESHES, { metadata: { name, labels: { name } } });
    const first = await client.list(MESHES, { limit: 2 });
    const rest = await client.list(MESHES, { limit: 2, continue: first.continue! });
    expect([...first.items, ...rest.items].map((one) => one.metadata.name)).toEqual(['a', 'b', 'c']);
    expect(rest.continue).toBeUndefined();
    const chosen = await client.list(MESHES, { labelSelector: 'name!=a', fieldSelector: 'metadata.name=b' });
    expect(chosen.items.map((one) => one.metadata.name)).toEqual(['b']);
    await client.deleteCollection(MESHES, { labelSelector: 'name=b' });
    expect((await client.list(MESHES)).items.map((one) => one.metadata.name)).toEqual(['a', 'c']);
  });

  it('tells a conflict from an existing name, and keeps preconditions of a delete', async () => {
    const made = await client.create<Thing>(PODS, pod('web'));
    expect(await codeOf(client.create(PODS, pod('web')))).toBe('already-exists');
    await client.replace(PODS, { ...made, spec: { value: 2 } });
    expect(await codeOf(client.replace(PODS, made))).toBe('conflict');
    const at = { namespace: 'shop', name: 'web' };
    expect(await codeOf(client.delete(PODS, at, { uid: 'another' }))).toBe('conflict');
    expect(await codeOf(client.delete(PODS, at, { resourceVersion: made.metadata.resourceVersion! }))).toBe('conflict');
  });

  it('stores nothing on a dry run', async () => {
    await client.create(PODS, pod('web'), { dryRun: true });
    expect(server.objects('pods')).toEqual([]);
  });

  it.each([
    [400, 'invalid'],
    [403, 'forbidden'],
    [410, 'gone'],
    [422, 'invalid'],
    [429, 'throttled'],
    [500, 'unavailable'],
    [503, 'unavailable'],
  ])('turns HTTP %i into %s, with message, causes and Retry-After', async (status, code) => {
    server.interceptor = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '3' });
      response.end(
        JSON.stringify({
          kind: 'Status',
          message: 'the reason',
          code: status,
          details: { causes: [{ field: 'spec.value', message: 'is bad' }] },
        }),
      );
      return true;
    };
    const error = await client.create(PODS, pod('web')).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code,
      status,
      message: 'create pods shop: the reason',
      causes: [{ field: 'spec.value', message: 'is bad' }],
      retryAfterMs: 3000,
    });
  });

  it('survives an answer that is no JSON', async () => {
    server.interceptor = (_request, response) => {
      response.writeHead(502);
      response.end('<html>bad gateway</html>');
      return true;
    };
    await expect(client.get(PODS, { namespace: 'shop', name: 'a' })).rejects.toMatchObject({
      code: 'unavailable',
      status: 502,
    });
  });

  it('says that a server does not answer, and works again when it does', async () => {
    await client.create(PODS, pod('web'));
    await server.pause();
    expect(await codeOf(client.get(PODS, { namespace: 'shop', name: 'web' }))).toBe('unavailable');
    await server.resume();
    expect(await client.get(PODS, { namespace: 'shop', name: 'web' })).toMatchObject({ metadata: { name: 'web' } });
  });

  it('keeps its connections, also after a delete, whose body HTTP libraries do not expect', async () => {
    const ports = new Set<number | undefined>();
    server.interceptor = (request) => {
      ports.add(request.socket.remotePort);
      return false;
    };
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await client.create(PODS, pod(name));
      await client.delete(PODS, { namespace: 'shop', name });
    }
    await client.deleteCollection(PODS, { namespace: 'shop' });
    await client.list(PODS);
    // A call right after another may find the first connection not free yet.
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  it('gives up at the deadline, and when the caller does', async () => {
    server.interceptor = () => true;
    const caller = new AbortController();
    const given = client.get(PODS, { namespace: 'shop', name: 'a' }, { signal: caller.signal });
    caller.abort();
    expect(await codeOf(given)).toBe('aborted');
    const impatient = await connectKubernetes({ kubeconfig: server.kubeconfig, deadlineMs: 50 });
    await expect(impatient.get(PODS, { namespace: 'shop', name: 'a' })).rejects.toMatchObject({
      code: 'aborted',
      message: expect.stringContaining('no answer'),
    });
    await impatient.close();
  });

  it('ends what is open when it is closed', async () => {
    server.interceptor = () => true;
    const pending = client.get(PODS, { namespace: 'shop', name: 'a' });
    // Only after the request has arrived is there something to end.
    while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await client.close();
    expect(await codeOf(pending)).toBe('aborted');
  });

  describe('watch', () => {
    const watching = (signal: AbortSignal, resourceVersion: string) =>
      client.watch<Thing>(PODS, { namespace: 'shop', resourceVersion, signal });

    it('begins with a bookmark, then gives every change until it is aborted', async () => {
      const { resourceVersion } = await client.list(PODS);
      const stop = new AbortController();
      const seen: WatchEvent<Thing>[] = [];
      for await (const event of watching(stop.signal, resourceVersion)) {
        seen.push(event);
        if (seen.length === 1) {
          await client.create(PODS, pod('web', 1));
          await client.create(PODS, { ...pod('elsewhere'), metadata: { namespace: 'other', name: 'x' } });
          await client.delete(PODS, { namespace: 'shop', name: 'web' });
        }
        if (seen.length === 3) server.bookmark();
        if (seen.length === 4) stop.abort();
      }
      expect(seen.map((event) => event.type)).toEqual(['BOOKMARK', 'ADDED', 'DELETED', 'BOOKMARK']);
      expect(seen[0]).toEqual({ type: 'BOOKMARK', resourceVersion });
      expect(seen[1]).toMatchObject({ object: { metadata: { name: 'web' }, spec: { value: 1 } } });
    });

    it('puts events together that come in pieces, cut inside a character too', async () => {
      const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'ü😀' } } })}\n`);
      server.interceptor = (_request, response) => {
        response.writeHead(200);
        void (async () => {
          for (const byte of line) {
            response.write(Buffer.from([byte]));
            await new Promise((resolve) => setImmediate(resolve));
          }
          response.end('{"type":"ADDED","object":');
        })();
        return true;
      };
      const seen: WatchEvent[] = [];
      for await (const event of watching(new AbortController().signal, '1')) seen.push(event);
      expect(seen.slice(1)).toEqual([{ type: 'ADDED', object: { metadata: { name: 'ü😀' } } }]);
    });

    it.each(['answer', 'event'])('throws gone when history is forgotten, as %s', async (how) => {
      const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' };
      server.interceptor = (_request, response) => {
        response.writeHead(how === 'answer' ? 410 : 200);
        response.end(
          how === 'answer' ? JSON.stringify(status) : `${JSON.stringify({ type: 'ERROR', object: status })}\n`,
        );
        return true;
      };
      const read = async () => {
        for await (const _event of watching(new AbortController().signal, '1')) {
          // Nothing but the first bookmark may come.
        }
      };
      expect(await codeOf(read())).toBe('gone');
    });

    it('throws unavailable when the connection breaks', async () => {
      const read = async () => {
        for await (const _event of watching(new AbortController().signal, '100')) server.cut();
      };
      expect(await codeOf(read())).toBe('unavailable');
    });
  });
});

describe('credentials', () => {
  let directory: string;
  let server: FakeApiServer;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'weft-kubeconfig-'));
    server = await startFakeApiServer();
  });
  afterEach(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  it('finds KUBECONFIG, and says what it looked for', async () => {
    const client = await connectKubernetes({ env: { KUBECONFIG: server.kubeconfig } });
    expect([client.server, client.namespace]).toEqual([server.url, 'test']);
    await client.close();
    await expect(connectKubernetes({})).rejects.toMatchObject({ code: 'unavailable', message: /KUBECONFIG/ });
    await expect(connectKubernetes({ kubeconfig: join(directory, 'none') })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('none'),
    });
  });

  it('says which context is missing', async () => {
    const client = connectKubernetes({ kubeconfig: server.kubeconfig, context: 'nowhere' });
    await expect(client).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('nowhere') });
  });

  it('looks elsewhere for nothing: a kubeconfig without clusters is an error with its path', async () => {
    const path = join(directory, 'empty');
    await writeFile(path, 'apiVersion: v1\nkind: Config\n');
    await expect(connectKubernetes({ kubeconfig: path })).rejects.toMatchObject({
      message: expect.stringContaining(path),
    });
  });
});
