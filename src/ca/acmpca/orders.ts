import type { Clock, Timer } from '../../lib/clock.ts';
import type { BackendConfig, PendingRecords } from '../backend.ts';
import { isWorthwhile, type Order, readOrder, worthUntil } from './order.ts';

/** An order, and the key it is for where the control plane made it. */
export interface KeptOrder {
  readonly order: Order;
  readonly sealedKey: string | undefined;
}

/** The orders of one backend that are not finished: in memory, and in the store for the next process. One for each proxy. */
export interface Orders {
  /** What can be gone on with. */
  find(proxy: string): Promise<KeptOrder | undefined>;
  put(proxy: string, kept: KeptOrder): void;
  /** The certificate was handed over. What is stored stays a moment, until the leaf is stored too. */
  finished(proxy: string): void;
  /** Nothing will come of it. */
  drop(proxy: string): void;
  close(): void;
}

/** Leaves are stored within this time. */
const LEAF_STORED_MS = 5000;

export function createOrders(options: {
  config: Pick<BackendConfig, 'mesh' | 'name'>;
  records: PendingRecords | undefined;
  clock: Clock;
}): Orders {
  const { config, records, clock } = options;
  const open = new Map<string, KeptOrder>();
  const finished = new Map<string, Timer>();

  function remove(proxy: string): void {
    if (proxy === '') return;
    open.delete(proxy);
    settled(proxy);
    records?.remove(config.mesh, proxy);
  }

  function settled(proxy: string): void {
    finished.get(proxy)?.cancel();
    finished.delete(proxy);
  }

  async function findStored(proxy: string): Promise<KeptOrder | undefined> {
    if (finished.has(proxy)) return undefined;
    const record = await records?.find(config.mesh, proxy);
    const order = record?.backend === config.name ? readOrder(record.request) : undefined;
    return order === undefined ? undefined : { order, sealedKey: record?.sealedKey };
  }

  return {
    async find(proxy) {
      const kept = open.get(proxy) ?? (await findStored(proxy));
      if (kept === undefined) return undefined;
      if (isWorthwhile(kept.order, clock.now())) return kept;
      remove(proxy);
      return undefined;
    },
    put(proxy, { order, sealedKey }) {
      // The control plane's own certificates are for no proxy.
      if (proxy === '') return;
      settled(proxy);
      open.set(proxy, { order, sealedKey });
      const until = worthUntil(order);
      records?.save({ mesh: config.mesh, proxy, backend: config.name, sealedKey, request: order, until });
    },
    finished(proxy) {
      if (proxy === '') return;
      open.delete(proxy);
      settled(proxy);
      finished.set(
        proxy,
        clock.after(LEAF_STORED_MS, () => remove(proxy)),
      );
    },
    drop: remove,
    close() {
      for (const proxy of [...finished.keys()]) remove(proxy);
    },
  };
}
