import { backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import type { TlsPair } from '../../x509/tls-pair.ts';
import { type KubeClient, KubeError } from '../api/client.ts';
import { SECRET } from '../api/core-kinds.ts';
import { createListWatch } from '../api/create-list-watch.ts';
import { bundleOf, type CertificateLives, type HeldCertificates, nextStep, takeStep } from './certificate-plan.ts';
import {
  CERTIFICATE_SECRET,
  certificateSecret,
  parseCertificateSecret,
  type SecretObject,
} from './certificate-secret.ts';

/** What the admission server shows, and what is to be trusted for it. */
export interface WebhookCertificates {
  readonly serving: TlsPair;
  /** PEM; `undefined`: somebody else says what is trusted. */
  readonly caBundle: string | undefined;
  /** Called after either has changed. Returns the unsubscriber. */
  subscribe(listener: () => void): () => void;
  close(): Promise<void>;
}

/** Certificates that this program makes itself. */
export interface CertificateKeeper extends WebhookCertificates {
  /**
   * Renews and rolls over until `signal` aborts; for the leader. `trust` makes API servers trust a bundle, and rejects when it can't: the next CA
   * does not sign before that.
   */
  rotate(trust: (bundle: string) => Promise<void>, signal: AbortSignal): Promise<void>;
}

export interface CertificateKeeperOptions {
  readonly client: KubeClient;
  /** The system namespace. */
  readonly namespace: string;
  /** Host names and addresses under which API servers call. */
  readonly names: readonly string[];
  readonly lives: CertificateLives;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

/** What is stored, and the version to write against; `held` is `undefined` when it is of no use. */
interface Stored {
  readonly held: HeldCertificates | undefined;
  readonly version: string | undefined;
}

const BACKOFF = { baseMs: 1000, maxMs: 60_000, jitter: 0.5 };
/** A timer is looked at again after so long at most: clocks are set. */
const LONGEST_WAIT_MS = 3_600_000;

/**
 * The certificates in Secret `weft-webhook-tls`, made when there are none: the first replica's are everybody's. Follows the Secret from then on.
 * Throws `KubeError` when the API server does not let it read or write the Secret.
 */
export async function openCertificates(options: CertificateKeeperOptions): Promise<CertificateKeeper> {
  const { client, namespace, names, lives, clock, random, log } = options;
  const place = { namespace, name: CERTIFICATE_SECRET };
  const listeners = new Set<() => void>();
  const wakers = new Set<() => void>();

  async function read(): Promise<Stored> {
    try {
      const secret = await client.get<SecretObject>(SECRET, place);
      return { held: parseCertificateSecret(secret), version: secret.metadata.resourceVersion };
    } catch (error) {
      if (error instanceof KubeError && error.code === 'not-found') return { held: undefined, version: undefined };
      throw error;
    }
  }

  /** Returns `false` when another replica was faster. */
  async function write(next: HeldCertificates, version: string | undefined): Promise<boolean> {
    const secret = certificateSecret(next, namespace, version);
    try {
      await (version === undefined ? client.create(SECRET, secret) : client.replace(SECRET, secret));
      return true;
    } catch (error) {
      const isRace = error instanceof KubeError && ['already-exists', 'conflict', 'not-found'].includes(error.code);
      if (isRace) return false;
      throw error;
    }
  }

  async function readOrCreate(): Promise<HeldCertificates> {
    for (;;) {
      const stored = await read();
      if (stored.held !== undefined) return stored.held;
      const made = await takeStep(undefined, 'create', { names, now: clock.now(), lives });
      if (await write(made, stored.version)) {
        log.info('certificate for admission webhooks made', { secret: CERTIFICATE_SECRET });
        return made;
      }
    }
  }

  let held = await readOrCreate();
  const watch = createListWatch<SecretObject>({
    client,
    type: SECRET,
    namespace,
    fieldSelector: `metadata.name=${CERTIFICATE_SECRET}`,
    clock,
    random,
    log,
  });
  const unsubscribe = watch.subscribe((event) => {
    if (event.op === 'upsert') adopt(parseCertificateSecret(event.object));
    else
      log.warn('the secret of the admission webhooks was deleted, it is written again', { secret: CERTIFICATE_SECRET });
    for (const wake of [...wakers]) wake();
  });

  function adopt(next: HeldCertificates | undefined): void {
    if (next === undefined) {
      log.warn('the secret of the admission webhooks is damaged, it is written again', { secret: CERTIFICATE_SECRET });
      return;
    }
    if (next.serving.certPem === held.serving.certPem && bundleOf(next) === bundleOf(held)) return;
    held = next;
    for (const listener of listeners) listener();
  }

  /** One look at the Secret, and one step when it is due. Returns when to look again. */
  async function turn(trust: (bundle: string) => Promise<void>): Promise<number> {
    const stored = await read();
    if (stored.held === undefined) {
      // What was deleted or damaged is in memory still; with a new CA calls would be refused for a moment.
      await write(held, stored.version);
      return clock.now();
    }
    const now = clock.now();
    const { step, at } = nextStep(stored.held, { names, now, lives });
    if (at > now) return at;
    if (step === 'switch-ca') await trust(bundleOf(stored.held));
    const next = await takeStep(stored.held, step, { names, now, lives });
    if (await write(next, stored.version)) {
      adopt(next);
      log.info('certificate of the admission webhooks changed', { step });
    }
    return clock.now();
  }

  return {
    get serving() {
      return held.serving;
    },
    get caBundle() {
      return bundleOf(held);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async rotate(trust, signal) {
      for (let failures = 0; !signal.aborted; ) {
        const changed = new AbortController();
        const wake = () => changed.abort();
        wakers.add(wake);
        let waitMs: number;
        try {
          waitMs = (await turn(trust)) - clock.now();
          failures = 0;
        } catch (error) {
          failures += 1;
          waitMs = backoffMs(failures, { ...BACKOFF, random: random() });
          log.warn('rotating the certificate of the admission webhooks failed, trying again', { error, failures });
        }
        const until = AbortSignal.any([signal, changed.signal]);
        if (waitMs > 0) await sleep(clock, Math.min(waitMs, LONGEST_WAIT_MS), until);
        wakers.delete(wake);
      }
    },
    async close() {
      unsubscribe();
      await watch.close();
    },
  };
}
