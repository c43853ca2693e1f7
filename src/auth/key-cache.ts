import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { SecretReader } from './secrets.ts';
import { type KeyLocation, parseVerificationKey, secretText } from './signing-keys.ts';

/** Imported verification keys and revocation lists, so that a thousand reconnecting proxies cost one read. */
export interface KeyCache {
  /** `undefined`: no such key. Throws `invalid-key`; errors of the store pass through and are not kept. */
  key(location: KeyLocation, kid: string): Promise<KeyObject | undefined>;
  /** Revoked token ids; empty when there is no list. */
  revoked(location: KeyLocation): Promise<ReadonlySet<string>>;
  /** Drops what was kept of one secret. */
  forget(mesh: string, name: string): void;
}

/** Keys looked for by strangers must not push out the real ones for long, nor fill memory. */
const MAX_ENTRIES = 4096;
/** What is not there is asked for again soon: another replica may just have made it. */
const MAX_ABSENT_MS = 1000;

interface Slot {
  readonly value: Promise<unknown>;
  /** Epoch ms. */
  expiresAt: number;
}

export function createKeyCache(options: { secrets: SecretReader; now: () => number; ttlMs: number }): KeyCache {
  const { secrets, now, ttlMs } = options;
  const slots = new LRUCache<string, Slot>({ max: MAX_ENTRIES });

  /** One read in flight per secret; a failed one is not kept, and `forget` makes sure an older answer is never served after it. */
  function once<T>(mesh: string, name: string, read: (value: Uint8Array | undefined) => T): Promise<T> {
    const id = `${mesh}/${name}`;
    const held = slots.get(id);
    if (held && held.expiresAt > now()) return held.value as Promise<T>;
    const slot: Slot = {
      value: secrets.readSecret(mesh, name).then((value) => {
        if (value === undefined) slot.expiresAt = Math.min(slot.expiresAt, now() + MAX_ABSENT_MS);
        return read(value);
      }),
      expiresAt: now() + ttlMs,
    };
    slots.set(id, slot);
    slot.value.catch(() => {
      if (slots.get(id) === slot) slots.delete(id);
    });
    return slot.value as Promise<T>;
  }

  function keyFrom(mesh: string, name: string): Promise<KeyObject | undefined> {
    return once(mesh, name, (value) => value && parseVerificationKey(value, secretText(mesh, name)));
  }

  return {
    key: async ({ mesh, prefix, publicPrefix }, kid) =>
      (await keyFrom(mesh, `${prefix}-${kid}`)) ?? (await keyFrom(mesh, `${publicPrefix}-${kid}`)),
    revoked: ({ mesh, revocations }) => once(mesh, revocations, parseRevocations),
    forget: (mesh, name) => slots.delete(`${mesh}/${name}`),
  };
}

/** Comma-separated token ids; spaces and line ends around them do not count. */
function parseRevocations(value: Uint8Array | undefined): ReadonlySet<string> {
  if (value === undefined) return new Set();
  const ids = Buffer.from(value).toString('utf8').split(/[,\n]/);
  return new Set(ids.map((id) => id.trim()).filter((id) => id !== ''));
}
