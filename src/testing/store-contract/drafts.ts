import { keyOf, keyText, type Resource, type ResourceKey } from '../../resources/resource.ts';
import { type ResourceStore, StoreError } from '../../store/store.ts';

/** A Dataplane of the test, as a caller would hand it in. */
export function draft(name: string, spec: unknown = { value: 0 }, options: Partial<DraftOptions> = {}): Resource {
  const { type = 'Dataplane', mesh = 'default', labels = {}, status } = options;
  const meta = { mesh, name, labels, creationTime: '', modificationTime: '', version: '' };
  return status === undefined ? { type, meta, spec } : { type, meta, spec, status };
}

interface DraftOptions {
  readonly type: string;
  readonly mesh: string;
  readonly labels: Record<string, string>;
  readonly status: unknown;
}

export function dataplaneKey(name: string, mesh = 'default'): ResourceKey {
  return { type: 'Dataplane', mesh, name };
}

/** The code of the `StoreError` that `work` rejects with; fails the test for anything else. */
export async function errorCode(work: Promise<unknown>): Promise<string> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`expected a StoreError, got ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof StoreError)) throw outcome.error;
  return outcome.error.code;
}

/** Everything of these types in the store, by key text. */
export async function everything(store: ResourceStore, types: readonly string[]): Promise<Map<string, Resource>> {
  const pages = await Promise.all(types.map((type) => store.list({ type })));
  return new Map(pages.flatMap((page) => page.items.map((item) => [keyText(keyOf(item)), item])));
}

export function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen);
}
