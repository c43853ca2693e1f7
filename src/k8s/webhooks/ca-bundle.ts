import { backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { Gauge, type Metrics } from '../../lib/metrics.ts';
import { sleep } from '../../lib/wait.ts';
import { type KubeClient, KubeError } from '../api/client.ts';
import { createListWatch } from '../api/create-list-watch.ts';
import type { KubeObject, ResourceType } from '../api/object.ts';
import type { WebhookCertificates } from './certificate-keeper.ts';

interface Configuration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: { readonly caBundle?: string } }[];
}

interface ConfigurationPlace {
  readonly type: ResourceType;
  readonly name: string;
}

const GROUP = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false };
const PLACES: readonly ConfigurationPlace[] = [
  {
    type: { ...GROUP, plural: 'mutatingwebhookconfigurations', kind: 'MutatingWebhookConfiguration' },
    name: 'weft-admission-mutating',
  },
  {
    type: { ...GROUP, plural: 'validatingwebhookconfigurations', kind: 'ValidatingWebhookConfiguration' },
    name: 'weft-admission-validating',
  },
];

/** Steps that put `bundle` (base64) wherever it is not, and touch nothing else; [] when all is right. */
function bundlePatch(configuration: Configuration, bundle: string): readonly object[] {
  return (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) =>
    clientConfig?.caBundle === bundle
      ? []
      : [
          { op: 'test', path: `/webhooks/${index}/name`, value: name },
          { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: bundle },
        ],
  );
}

export interface CaBundles {
  /** Makes both configurations trust `bundle` (PEM) now. A configuration that is absent is reported, not made. Throws `KubeError`. */
  apply(bundle: string): Promise<void>;
  /** Keeps both right until `signal` aborts, whoever changes them; for the leader. */
  keep(certificates: WebhookCertificates, signal: AbortSignal): Promise<void>;
}

const BACKOFF = { baseMs: 500, maxMs: 30_000, jitter: 0.5 };

/** Keeps `caBundle` of the webhook configurations; nothing else of them is ours to write. Registers a metric. */
export function createCaBundles(options: {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}): CaBundles {
  const { client, clock, random, log } = options;
  const trusted = new Gauge({
    name: 'weft_webhook_configuration_trusted',
    help: '1: the webhook configuration is there and trusts our certificate; as this replica saw it last',
    labelNames: ['configuration'],
    registers: [options.metrics],
  });
  const missing = new Set<string>();

  function report(place: ConfigurationPlace, isThere: boolean): void {
    trusted.set({ configuration: place.name }, isThere ? 1 : 0);
    if (!isThere && !missing.has(place.name)) {
      log.warn('webhook configuration is absent: nothing of it is checked or injected; install it', {
        configuration: place.name,
      });
    }
    if (isThere) missing.delete(place.name);
    else missing.add(place.name);
  }

  async function set(place: ConfigurationPlace, configuration: Configuration, bundle: string): Promise<void> {
    const patch = bundlePatch(configuration, Buffer.from(bundle).toString('base64'));
    if (patch.length > 0) {
      trusted.set({ configuration: place.name }, 0);
      await client.patch(place.type, { name: place.name }, patch, { as: 'json', fieldManager: 'weft-control-plane' });
      log.info('webhook configuration trusts our certificate now', { configuration: place.name });
    }
    report(place, true);
  }

  async function apply(place: ConfigurationPlace, bundle: string): Promise<void> {
    let configuration: Configuration;
    try {
      configuration = await client.get<Configuration>(place.type, { name: place.name });
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'not-found')) throw error;
      report(place, false);
      return;
    }
    await set(place, configuration, bundle);
  }

  async function keep(
    place: ConfigurationPlace,
    certificates: WebhookCertificates,
    signal: AbortSignal,
  ): Promise<void> {
    const watch = createListWatch<Configuration>({
      client,
      type: place.type,
      fieldSelector: `metadata.name=${place.name}`,
      clock,
      random,
      log,
      signal,
    });
    await watch.synced;
    for (let failures = 0; !signal.aborted; ) {
      const changed = new AbortController();
      const stops = [watch.subscribe(() => changed.abort()), certificates.subscribe(() => changed.abort())];
      let waitMs = Number.MAX_SAFE_INTEGER;
      try {
        const configuration = watch.get('', place.name);
        if (configuration === undefined) report(place, false);
        else if (certificates.caBundle !== undefined) await set(place, configuration, certificates.caBundle);
        failures = 0;
      } catch (error) {
        failures += 1;
        waitMs = backoffMs(failures, { ...BACKOFF, random: random() });
        log.warn('setting caBundle of a webhook configuration failed, trying again', {
          configuration: place.name,
          error,
          failures,
        });
      }
      await sleep(clock, waitMs, AbortSignal.any([signal, changed.signal]));
      for (const stop of stops) stop();
    }
    await watch.close();
  }

  return {
    async apply(bundle) {
      await Promise.all(PLACES.map((place) => apply(place, bundle)));
    },
    async keep(certificates, signal) {
      await Promise.all(PLACES.map((place) => keep(place, certificates, signal)));
    },
  };
}
