/**
 * The admission webhooks as one thing with a life: certificate, HTTPS server, handlers; and what the leader does for them.
 */
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Metrics } from '../../lib/metrics.ts';
import type { KubeClient } from '../api/client.ts';
import { createCaBundles } from './ca-bundle.ts';
import { openCertificateFiles } from './certificate-files.ts';
import { openCertificates, type WebhookCertificates } from './certificate-keeper.ts';
import { CERTIFICATE_LIVES, type CertificateLives } from './certificate-plan.ts';
import type { WebhookContext } from './context.ts';
import { createDefaultWebhook } from './default-resource.ts';
import { createInjectWebhook, type InjectPod, type NamespaceLookup } from './inject-sidecar.ts';
import { createWebhookMetrics } from './metrics.ts';
import { createOwnerReferenceWebhook } from './owner-reference.ts';
import { startAdmissionServer } from './server.ts';
import { createValidateWebhook } from './validate-resource.ts';
import { createSecretWebhook } from './validate-secret.ts';

export interface WebhooksOptions {
  readonly client: KubeClient;
  readonly context: WebhookContext;
  readonly inject: InjectPod;
  readonly namespace: NamespaceLookup;
  /** '' for every address. */
  readonly host: string;
  readonly port: number;
  /** Directory with `tls.crt` and `tls.key` of somebody else's making; '' for our own. */
  readonly certDir: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Name of the Service in the system namespace. */
  readonly service: string;
  /** Default: `CERTIFICATE_LIVES`. */
  readonly lives?: CertificateLives;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface Webhooks {
  readonly address: AddressInfo;
  /** What it shows to API servers now, PEM. */
  certificate(): string;
  /** Rotates the certificate and keeps `caBundle` right, until `signal` aborts; for the leader. */
  lead(signal: AbortSignal): Promise<void>;
  /** Lets calls under way end for `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves when it resolves, and the webhook configurations that are there trust it. Rejects when the certificate can't be had or the port can't be
 * opened; configurations that can't be written now are reported and tried again by the leader.
 */
export async function startWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const { client, context, clock, random, log, metrics } = options;
  const { systemNamespace } = context.labels;
  const webhooks = [
    createDefaultWebhook(context),
    createOwnerReferenceWebhook(context),
    createInjectWebhook(options),
    createValidateWebhook(context),
    createSecretWebhook(context),
  ];
  const keeper =
    options.certDir === ''
      ? await openCertificates({
          client,
          namespace: systemNamespace,
          names: serverNames(options.service, systemNamespace),
          lives: options.lives ?? CERTIFICATE_LIVES,
          clock,
          random,
          log,
        })
      : undefined;
  const certificates: WebhookCertificates = keeper ?? (await openCertificateFiles(options.certDir, { clock, log }));
  const caBundles = createCaBundles({ client, clock, random, log, metrics });
  try {
    const server = await startAdmissionServer({
      host: options.host,
      port: options.port,
      certificate: certificates.serving,
      minVersion: options.minVersion,
      webhooks,
      log,
      metrics: createWebhookMetrics(
        metrics,
        webhooks.map(({ name }) => name),
      ),
    });
    const unsubscribe = certificates.subscribe(() => server.setCertificate(certificates.serving));
    await trustNow();
    return {
      address: server.address,
      certificate: () => certificates.serving.certPem,
      async lead(signal) {
        await Promise.all([
          caBundles.keep(certificates, signal),
          keeper?.rotate((bundle) => caBundles.apply(bundle), signal),
        ]);
      },
      async close(graceMs) {
        await server.close(graceMs);
        unsubscribe();
        await certificates.close();
      },
    };
  } catch (error) {
    await certificates.close();
    throw error;
  }

  async function trustNow(): Promise<void> {
    if (certificates.caBundle === undefined) return;
    try {
      await caBundles.apply(certificates.caBundle);
    } catch (error) {
      log.warn('setting caBundle of the webhook configurations failed, the leader tries again', { error });
    }
  }
}

/** Names by which API servers call: the Service, and this machine for a configuration with a URL. */
function serverNames(service: string, namespace: string): readonly string[] {
  return [service, `${service}.${namespace}`, `${service}.${namespace}.svc`, 'localhost', '127.0.0.1', '::1'];
}
