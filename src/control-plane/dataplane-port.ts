import type { KeyStreamSource } from '../key-stream/server.ts';
import { createKeyStreamServer } from '../key-stream/server.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { LabelContext } from '../resources/labels.ts';
import type { ResourceStore } from '../store/store.ts';
import { createDataplaneServer, type DataplaneServer } from '../xds-server/dataplane-server.ts';
import { createXdsServer } from '../xds-server/server.ts';
import type { XdsSource } from '../xds-server/xds.ts';
import { bootstrapDependencies, createBootstrapListener } from './bootstrap-http.ts';
import type { ControlPlaneConfig } from './config.ts';
import { minVersionOf, type ServerCertificate } from './server-certificate.ts';

const STOP_GRACE_MS = 2000;

/** The port of proxies and their launchers: bootstrap, key streams, xDS. */
export interface DataplanePort extends Pick<DataplaneServer, 'address' | 'setCertificate'> {
  /** Ends key streams, then the port with its xDS streams. */
  close(): Promise<void>;
}

/** Listens when it resolves; rejects with the system's error when the port is taken. */
export async function openDataplanePort(options: {
  config: ControlPlaneConfig;
  tls: ServerCertificate;
  store: ResourceStore;
  source: XdsSource & { readonly launchers: KeyStreamSource };
  labelContext: LabelContext;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
}): Promise<DataplanePort> {
  const { config, tls, store, source, labelContext, clock, log, metrics } = options;
  const xds = createXdsServer({ source, log: log.named('xds'), metrics });
  const keyStreams = createKeyStreamServer({ source: source.launchers, clock, log: log.named('keys') });
  const port = () => server.address.port;
  const server: DataplaneServer = await createDataplaneServer({
    tls,
    http: createBootstrapListener(
      bootstrapDependencies({ config, certificate: tls, store, labelContext, port }),
      log.named('bootstrap'),
    ),
    upgrade: keyStreams.upgrade,
    xds,
    host: config.weft.interfaces.dpServer,
    port: config.dpServer.port,
    log,
    minVersion: minVersionOf(config.dpServer),
  });
  return {
    address: server.address,
    setCertificate: (certificate) => server.setCertificate(certificate),
    async close() {
      await keyStreams.close();
      await server.close(STOP_GRACE_MS);
    },
  };
}
