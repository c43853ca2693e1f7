import { z } from 'zod';
import {
  type DeepReadonly,
  flagWrapper,
  fromProtoJson,
  message,
  text,
  textMap,
  toProtoJson,
  uint32,
} from '../proto-json.ts';
import type { MeshSpec, MetricsBackend } from './mesh.ts';

/** Kuma's `PrometheusMetricsBackendConfig`: what `metrics.backends[].conf` holds. */
export const prometheusConf = message({
  port: uint32(),
  path: text(),
  tags: textMap(),
  skipMTLS: flagWrapper(),
  aggregate: z.array(message({ name: text(), port: uint32(), path: text(), enabled: flagWrapper(), address: text() })),
  envoy: message({ filterRegex: text(), usedOnly: flagWrapper() }),
  tls: message({ mode: z.enum(['activeMTLSBackend', 'providedTLS', 'disabled']) }),
});

export type PrometheusConf = DeepReadonly<z.infer<typeof prometheusConf>>;

/**
 * The Mesh with what Kuma writes into every Prometheus backend on create and update: port 5670, path /metrics,
 * tag `kuma.io/service: dataplane-metrics`, and `tls` derived from `skipMTLS`. A conf that does not parse is left for validation.
 * Returns the same object when there is nothing to fill.
 */
export function withMetricsDefaults(spec: MeshSpec): MeshSpec {
  const backends = spec.metrics?.backends;
  if (backends === undefined || backends.length === 0) return spec;
  const filled = backends.map(withBackendDefaults);
  if (filled.every((backend, index) => backend === backends[index])) return spec;
  return { ...spec, metrics: { ...spec.metrics, backends: filled } };
}

function withBackendDefaults(backend: MetricsBackend): MetricsBackend {
  if (backend.type !== 'prometheus') return backend;
  const conf = readPrometheusConf(backend.conf);
  if (conf === undefined) return backend;
  const tags =
    conf.tags !== undefined && Object.keys(conf.tags).length > 0
      ? conf.tags
      : { 'kuma.io/service': 'dataplane-metrics' };
  const full = { ...conf, ...tlsOf(conf), port: conf.port ?? 5670, path: conf.path ?? '/metrics', tags };
  const json = toProtoJson(prometheusConf, full);
  return JSON.stringify(json) === JSON.stringify(toProtoJson(prometheusConf, backend.conf))
    ? backend
    : { ...backend, conf: json };
}

function tlsOf(conf: PrometheusConf): Pick<PrometheusConf, 'tls' | 'skipMTLS'> {
  if (conf.tls === undefined)
    return { tls: conf.skipMTLS === true ? { mode: 'disabled' } : {}, skipMTLS: conf.skipMTLS };
  return conf.tls.mode === 'providedTLS'
    ? { tls: conf.tls, skipMTLS: undefined }
    : { tls: conf.tls, skipMTLS: conf.skipMTLS };
}

function readPrometheusConf(conf: unknown): PrometheusConf | undefined {
  try {
    return fromProtoJson(prometheusConf, conf ?? {});
  } catch {
    return undefined;
  }
}
