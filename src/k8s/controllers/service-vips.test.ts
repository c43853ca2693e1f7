import { expect, it } from 'vitest';
import type { Service } from '../api/core-kinds.ts';
import type { ListWatch, ListWatchEvent } from '../api/list-watch.ts';
import { createServiceVips } from './service-vips.ts';

function service(name: string, spec: Service['spec'], annotations: Record<string, string> = {}): Service {
  return { metadata: { name, namespace: 'shop', annotations }, spec: { ports: [{ port: 80 }], ...spec } };
}

function follow(...present: Service[]) {
  let emit: (event: ListWatchEvent<Service>) => void = () => {};
  const list: ListWatch<Service> = {
    synced: Promise.resolve(),
    get: () => undefined,
    items: () => present.values(),
    subscribe(listener) {
      emit = listener;
      return () => {};
    },
    connected: true,
    close: async () => {},
  };
  const vips = createServiceVips(list);
  const changes: string[][] = [];
  vips.subscribe((services) => changes.push([...services]));
  return { vips, changes, emit: (event: ListWatchEvent<Service>) => emit(event) };
}

it('knows the addresses of each TCP port, in both families', () => {
  const ports = [{ port: 80 }, { port: 443, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }];
  const { vips } = follow(service('web', { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::1'], ports }));
  const addresses = ['10.0.0.1', 'fd00::1'];
  expect(vips.of('web_shop_svc_80')).toEqual({ kind: 'addresses', addresses, port: 80 });
  expect(vips.of('web_shop_svc_443')).toEqual({ kind: 'addresses', addresses, port: 443 });
  expect(vips.of('web_shop_svc_53')).toBeUndefined();
});

it('has endpoints for a headless Service, and nothing for one that is in no mesh or has no address', () => {
  const { vips } = follow(
    service('headless', { clusterIP: 'None', clusterIPs: ['None'] }),
    service('alias', { type: 'ExternalName' }),
    service('ignored', { clusterIP: '10.0.0.1' }, { 'kuma.io/ignore': 'yes' }),
    service('pending', {}),
  );
  expect(vips.of('headless_shop_svc_80')).toEqual({ kind: 'endpoints' });
  for (const name of ['alias', 'ignored', 'pending']) expect(vips.of(`${name}_shop_svc_80`)).toBeUndefined();
});

it('tells what changed, and only that', () => {
  const before = service('web', { clusterIP: '10.0.0.1' });
  const { vips, changes, emit } = follow(before);
  const same = service('web', { clusterIP: '10.0.0.1', selector: { app: 'other' } });
  emit({ op: 'upsert', old: before, object: same });
  const moved = service('web', { clusterIP: '10.0.0.2', ports: [{ port: 80 }, { port: 81 }] });
  emit({ op: 'upsert', old: same, object: moved });
  emit({ op: 'delete', object: moved });
  expect(changes).toEqual([
    ['web_shop_svc_80', 'web_shop_svc_81'],
    ['web_shop_svc_80', 'web_shop_svc_81'],
  ]);
  expect(vips.of('web_shop_svc_80')).toBeUndefined();
});
