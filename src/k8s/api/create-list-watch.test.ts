import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { type FakeApiServer, startFakeApiServer } from '../../testing/fakes/kube-api-server.ts';
import type { KubeClient } from './client.ts';
import { connectKubernetes } from './connect.ts';
import { createListWatch, type ListWatchOptions } from './create-list-watch.ts';
import type { ListWatch, ListWatchEvent } from './list-watch.ts';
import type { KubeObject, ResourceType } from './object.ts';

const PODS: ResourceType = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true };
const COLLECTION = '/api/v1/namespaces/shop/pods';

interface Pod extends KubeObject {
  readonly spec: { readonly value: number };
}

describe('createListWatch', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let list: ListWatch<Pod>;
  let events: ListWatchEvent<Pod>[];
  let wake: () => void;

  beforeEach(async () => {
    server = await startFakeApiServer();
    client = await connectKubernetes({ kubeconfig: server.kubeconfig });
  });
  afterEach(async () => {
    await list.close();
    await client.close();
    await server.close();
  });

  const put = (name: string, value: number) => server.put(COLLECTION, { metadata: { name }, spec: { value } });
  const start = async (options: Partial<ListWatchOptions<Pod>> = {}) => {
    events = [];
    list = createListWatch<Pod>({
      client,
      type: PODS,
      namespace: 'shop',
      clock: systemClock,
      random: () => 0.5,
      log: silentLogger,
      ...options,
    });
    list.subscribe((event) => {
      events.push(event);
      wake?.();
    });
    await list.synced;
  };
  /** Waits for an event that makes `test` true. */
  const until = async (test: () => boolean) => {
    while (!test()) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`not in 5 s: ${JSON.stringify(events)}`)), 5000);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const poll = (test: () => boolean) => vi.waitUntil(test, { timeout: 15_000, interval: 5 });
  const value = (name: string) => list.get('shop', name)?.spec.value;
  const short = () =>
    events.map((event) =>
      event.op === 'delete'
        ? `- ${event.object.metadata.name}`
        : `${event.old ? '~' : '+'} ${event.object.metadata.name}`,
    );

  it('lists every page, then follows changes in order', async () => {
    for (let index = 0; index < 600; index += 1) put(`p${index}`, index);
    await start();
    expect([...list.items()]).toHaveLength(600);
    expect(list.connected).toBe(true);
    put('web', 1);
    put('web', 2);
    server.remove(`${COLLECTION}/p7`);
    await until(() => events.length >= 603);
    expect(short().slice(600)).toEqual(['+ web', '~ web', '- p7']);
    expect([value('web'), value('p7')]).toEqual([2, undefined]);
    expect(JSON.stringify([...list.items()])).not.toContain('managedFields');
    expect(server.requests.filter((one) => !one.includes('watch='))).toHaveLength(2);
  });

  it('resumes a broken watch where it was, without listing and without losing or doubling an event', async () => {
    put('a', 1);
    await start();
    await poll(() => server.watches() === 1);
    server.cut();
    put('b', 2);
    await until(() => value('b') === 2);
    expect(short()).toEqual(['+ a', '+ b']);
    expect(server.requests.filter((one) => !one.includes('watch='))).toHaveLength(1);
  });

  it('resumes from a bookmark after history was forgotten up to it', async () => {
    put('a', 1);
    await start();
    await poll(() => server.watches() === 1);
    server.compact();
    server.bookmark();
    put('b', 2);
    await until(() => value('b') === 2);
    server.cut();
    put('c', 3);
    await until(() => value('c') === 3);
    expect(server.requests.filter((one) => !one.includes('watch='))).toHaveLength(1);
  });

  it('lists again after 410 and reports the differences only', async () => {
    put('same', 1);
    put('gone', 1);
    put('changed', 1);
    put('again', 1);
    await start();
    await poll(() => server.watches() === 1);
    events.length = 0;
    await server.pause();
    await poll(() => server.watches() === 0);
    server.remove(`${COLLECTION}/gone`);
    server.remove(`${COLLECTION}/again`);
    put('again', 2);
    put('changed', 2);
    put('new', 1);
    server.compact();
    await server.resume();
    await until(() => value('new') === 1);
    expect(short().toSorted()).toEqual(['+ again', '+ new', '- again', '- gone', '~ changed']);
    expect(short().indexOf('- again')).toBeLessThan(short().indexOf('+ again'));
  });

  it('says that it is not connected while the server is away, and keeps what it has', async () => {
    put('a', 1);
    await start();
    await server.pause();
    await poll(() => !list.connected);
    expect(value('a')).toBe(1);
    await server.resume();
    await poll(() => list.connected);
    put('a', 2);
    await until(() => value('a') === 2);
  });

  it('keeps trying when the first list fails', async () => {
    let refusals = 2;
    server.interceptor = (_request, response) => {
      if (refusals === 0) return false;
      refusals -= 1;
      response.writeHead(403);
      response.end('{}');
      return true;
    };
    put('a', 1);
    await start();
    expect(value('a')).toBe(1);
  });

  it('takes a silent watch for dead and resumes it, which is nothing to warn of before the server is away', async () => {
    const logged: string[] = [];
    const log: Logger = {
      ...silentLogger,
      named: () => log,
      debug: (message) => void logged.push(`debug ${message}`),
      warn: (message) => void logged.push(`warn ${message}`),
    };
    await start({ maxSilenceMs: 50, log });
    await poll(() => server.requests.filter((one) => one.includes('watch=')).length >= 2);
    put('a', 1);
    await until(() => value('a') === 1);
    expect(new Set(logged)).toEqual(new Set(['debug the watch was silent, resuming it']));
    await server.pause();
    await poll(() => logged.some((line) => line.startsWith('warn')));
    await server.resume();
  });

  it('does not hammer a server that ends every watch at once', async () => {
    server.interceptor = (request, response) => {
      if (!request.url!.includes('watch=')) return false;
      response.writeHead(200);
      response.end();
      return true;
    };
    await start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(server.requests.length).toBeLessThan(8);
  });

  it('watches only what is selected', async () => {
    await start({ fieldSelector: 'spec.value=1' });
    put('a', 2);
    put('b', 1);
    await until(() => value('b') === 1);
    put('b', 2);
    await until(() => list.get('shop', 'b') === undefined);
    expect(short()).toEqual(['+ b', '- b']);
  });

  it('ends with its signal, also while the server is away', async () => {
    const stop = new AbortController();
    await start({ signal: stop.signal });
    await server.pause();
    stop.abort();
    await list.close();
    expect(list.connected).toBe(false);
    await server.resume();
  });
});
