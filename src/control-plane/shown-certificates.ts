import type { OwnCredentials } from './own-credentials.ts';
import type { ServerCertificate } from './server-certificate.ts';

/** What the control plane presents at this moment. */
export interface ShownCertificates {
  /** PEM by name, as metrics and the API have them. */
  pems(): Readonly<Record<string, string>>;
  /** The general one is another one from now on. */
  replaced(server: ServerCertificate): void;
  /** Webhooks serve, with the certificate that `pem` gives. */
  withWebhooks(pem: () => string): void;
}

/** `dataplanePort` and `api` are shown apart where they are not the general one. */
export function createShownCertificates(options: {
  credentials: Pick<OwnCredentials, 'server' | 'admin'>;
  dataplanePort: ServerCertificate;
  api: ServerCertificate;
}): ShownCertificates {
  const { credentials, dataplanePort, api } = options;
  const { admin, server: general } = credentials;
  let server = general;
  let webhooks: (() => string) | undefined;
  return {
    pems: () => ({
      server: server.certPem,
      'server-ca': server.caPem,
      ...(dataplanePort === general ? {} : { 'data-plane-port': dataplanePort.certPem }),
      ...(api === general ? {} : { api: api.certPem }),
      'envoy-admin-ca': admin.ca.certPem,
      'envoy-admin-server': admin.server.certPem,
      'envoy-admin-client': admin.client.certPem,
      ...(webhooks === undefined ? {} : { webhooks: webhooks() }),
    }),
    replaced(certificate) {
      server = certificate;
    },
    withWebhooks(pem) {
      webhooks = pem;
    },
  };
}
