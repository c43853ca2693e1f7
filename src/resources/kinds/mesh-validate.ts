import { RE2JS } from 're2js';
import type { z } from 'zod';
import { parseKumaDuration } from '../../lib/duration.ts';
import { flag, flagWrapper, fromProtoJson, message, text, uint32 } from '../proto-json.ts';
import type { Violation } from '../resource.ts';
import { isRequestUri, splitHostPort, uriPort } from './address.ts';
import type { LoggingBackend, MeshSpec, MtlsBackend, TracingBackend } from './mesh.ts';
import { type PrometheusConf, prometheusConf } from './mesh-metrics.ts';
import { validateSelector } from './tags.ts';

/**
 * How many CA backends one Mesh may list. Kuma allows one; here changing the CA is by design done with two listed side by side
 * (and one more where a rotation is turned around midway), and a trust bundle of ten roots is still small on every handshake.
 */
const MAX_MTLS_BACKENDS = 10;
/** Beyond it a request waits on the issuer's side, not on ours. */
const MAX_CONCURRENCY = 1000;

/** Static checks of a Mesh; source: Kuma 2.11 `MeshResource.Validate`. What needs secrets, files or other resources is not here. */
export function validateMesh(spec: MeshSpec): readonly Violation[] {
  return [
    ...mtls(spec),
    ...logging(spec),
    ...tracing(spec),
    ...metrics(spec),
    ...constraints(spec),
    ...zoneEgress(spec),
  ];
}

function mtls(spec: MeshSpec): readonly Violation[] {
  if (spec.mtls === undefined) return [];
  const backends = spec.mtls.backends ?? [];
  const out: Violation[] = [];
  if (backends.length > MAX_MTLS_BACKENDS) {
    out.push({ field: 'mtls.backends', message: `cannot have more than ${MAX_MTLS_BACKENDS} backends` });
  }
  out.push(...repeatedNames(backends, 'mtls.backends'));
  out.push(
    ...notListed(
      spec.mtls.enabledBackend,
      backends,
      'mtls.enabledBackend',
      'has to be set to one of the backends in the mesh',
    ),
  );
  for (const [index, backend] of backends.entries()) {
    out.push(...limits(backend.limits, `mtls.backends[${index}].limits`));
    if (backend.dpCert === undefined) continue;
    // The path has no index and a lower-case c: clients match on it (Kuma 2.11).
    if (parseKumaDuration(backend.dpCert.rotation?.expiration ?? '') === undefined) {
      out.push({ field: 'mtls.dpcert.rotation.expiration', message: 'has to be a valid format' });
    }
  }
  return out;
}

/** An issuer that may be asked nothing would leave every proxy without a certificate. */
function limits({ concurrency = 1, perSecond = 1 }: MtlsBackend['limits'] = {}, path: string): readonly Violation[] {
  const out: Violation[] = [];
  if (concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    out.push({
      field: `${path}.concurrency`,
      message: `has to be from 1 to ${MAX_CONCURRENCY}: requests to the issuer that may be under way at once`,
    });
  }
  if (perSecond <= 0) {
    out.push({
      field: `${path}.perSecond`,
      message:
        'has to be over 0: certificates that may be asked for in a second, such as 25, or 0.1 for one in ten seconds',
    });
  }
  return out;
}

function logging(spec: MeshSpec): readonly Violation[] {
  const backends = spec.logging?.backends ?? [];
  return [
    ...backends.flatMap((backend, index) => loggingBackend(backend, `logging.backends[${index}]`)),
    ...repeatedNames(backends, 'logging.backends'),
    ...notListed(
      spec.logging?.defaultBackend,
      backends,
      'logging.defaultBackend',
      'has to be set to one of the logging backend in mesh',
    ),
  ];
}

const tcpConf = message({ address: text() });
const fileConf = message({ path: text() });

function loggingBackend(backend: LoggingBackend, path: string): readonly Violation[] {
  const out: Violation[] = named(backend.name, path);
  if (backend.type === 'file') {
    out.push(
      ...withConf(fileConf, backend.conf, `${path}.config`, (conf) =>
        conf.path === undefined ? [{ field: `${path}.config.path`, message: 'cannot be empty' }] : [],
      ),
    );
  } else if (backend.type === 'tcp') {
    out.push(
      ...withConf(tcpConf, backend.conf, `${path}.config`, (conf) =>
        tcpAddress(conf.address, `${path}.config.address`),
      ),
    );
  } else {
    out.push({ field: `${path}.type`, message: 'unknown backend type. Available backends: "tcp", "file"' });
  }
  return out;
}

function tcpAddress(address: string | undefined, field: string): readonly Violation[] {
  if (address === undefined) return [{ field, message: 'cannot be empty' }];
  const parts = splitHostPort(address);
  const complete = parts !== undefined && parts.host !== '' && parts.port !== '';
  return complete ? [] : [{ field, message: 'has to be in format of HOST:PORT' }];
}

function tracing(spec: MeshSpec): readonly Violation[] {
  const backends = spec.tracing?.backends ?? [];
  return [
    ...backends.flatMap((backend, index) => tracingBackend(backend, `tracing.backends[${index}]`)),
    ...repeatedNames(backends, 'tracing.backends'),
    ...notListed(
      spec.tracing?.defaultBackend,
      backends,
      'tracing.defaultBackend',
      'has to be set to one of the tracing backend in mesh',
    ),
  ];
}

const zipkinConf = message({
  url: text(),
  traceId128bit: flag(),
  apiVersion: text(),
  sharedSpanContext: flagWrapper(),
});
const datadogConf = message({ address: text(), port: uint32(), splitService: flag() });
const ZIPKIN_VERSIONS = ['httpJsonV1', 'httpJson', 'httpProto'];

function tracingBackend(backend: TracingBackend, path: string): readonly Violation[] {
  const out: Violation[] = named(backend.name, path);
  const sampling = backend.sampling ?? 0;
  if (sampling < 0 || sampling > 100)
    out.push({ field: `${path}.sampling`, message: 'has to be in [0.0 - 100.0] range' });
  const at = `${path}.config`;
  if (backend.type === 'zipkin') {
    out.push(...withConf(zipkinConf, backend.conf, at, (conf) => zipkin(conf, at)));
  } else if (backend.type === 'datadog') {
    out.push(...withConf(datadogConf, backend.conf, at, (conf) => datadog(conf, at)));
  } else {
    out.push({ field: `${path}.type`, message: 'unknown backend type. Available backends: "zipkin", "datadog"' });
  }
  return out;
}

function zipkin(conf: z.infer<typeof zipkinConf>, at: string): readonly Violation[] {
  const out: Violation[] = [];
  if (conf.apiVersion !== undefined && !ZIPKIN_VERSIONS.includes(conf.apiVersion)) {
    out.push({
      field: `${at}.apiVersion`,
      message: `has invalid value. Allowed values: ${ZIPKIN_VERSIONS.join(', ')}`,
    });
  }
  const field = `${at}.url`;
  if (conf.url === undefined) out.push({ field, message: 'cannot be empty' });
  else if (!isRequestUri(conf.url)) out.push({ field, message: 'invalid URL' });
  else if (uriPort(conf.url) === '') out.push({ field, message: 'port has to be explicitly specified' });
  return out;
}

function datadog(conf: z.infer<typeof datadogConf>, at: string): readonly Violation[] {
  const out: Violation[] = [];
  if (conf.address === undefined) out.push({ field: `${at}.address`, message: 'cannot be empty' });
  if (conf.port === undefined || conf.port > 65535) {
    out.push({ field: `${at}.port`, message: 'port must be in the range [1, 65535]' });
  }
  return out;
}

function metrics(spec: MeshSpec): readonly Violation[] {
  const backends = spec.metrics?.backends ?? [];
  return [
    ...repeatedNames(backends, 'metrics.backends'),
    ...backends.flatMap((backend, index) => validateMetricsBackend(backend, `metrics.backends[${index}]`)),
    ...notListed(
      spec.metrics?.enabledBackend,
      backends,
      'metrics.enabledBackend',
      'has to be set to one of the backends in the mesh',
    ),
  ];
}

/** Checks one metrics backend, of a Mesh or of a Dataplane, standing at `path`. */
export function validateMetricsBackend(
  backend: { readonly type?: string; readonly conf?: unknown },
  path: string,
): readonly Violation[] {
  if (backend.type !== 'prometheus') {
    return [{ field: `${path}.type`, message: 'unknown backend type. Available backends: "prometheus"' }];
  }
  return withConf(prometheusConf, backend.conf, `${path}.conf`, (conf) => prometheus(conf, `${path}.conf`));
}

function prometheus(conf: PrometheusConf, at: string): readonly Violation[] {
  if (conf.skipMTLS !== undefined && conf.tls !== undefined && !sameMeaning(conf)) {
    return [{ field: at, message: 'skipMTLS and tls configuration cannot be defined together' }];
  }
  const regexError = reasonOfBadRegex(conf.envoy?.filterRegex ?? '');
  if (regexError !== undefined) {
    return [{ field: `${at}.envoy.filterRegex`, message: `provided regexp isn't correct: ${regexError}` }];
  }
  const seen = new Set<string>();
  const out: Violation[] = [];
  for (const [index, { name = '' }] of (conf.aggregate ?? []).entries()) {
    if (seen.has(name)) {
      out.push({
        field: `${at}.aggregate[${index}].name`,
        message: `duplicate entry: ${name}, values have to be unique`,
      });
    }
    seen.add(name);
  }
  return out;
}

/** `skipMTLS` and `tls` that say the same may stand together: that is what the defaults write. */
function sameMeaning(conf: PrometheusConf): boolean {
  const mode = conf.tls?.mode ?? 'activeMTLSBackend';
  return conf.skipMTLS === true ? mode === 'disabled' : mode === 'activeMTLSBackend';
}

function reasonOfBadRegex(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function constraints(spec: MeshSpec): readonly Violation[] {
  const rules = spec.constraints?.dataplaneProxy;
  return (['requirements', 'restrictions'] as const).flatMap((list) =>
    (rules?.[list] ?? []).flatMap((rule, index) =>
      validateSelector(`constraints.dataplaneProxy.${list}[${index}].tags`, rule.tags, { requireOne: true }),
    ),
  );
}

function zoneEgress(spec: MeshSpec): readonly Violation[] {
  const off = (spec.mtls?.enabledBackend ?? '') === '';
  return spec.routing?.zoneEgress === true && off
    ? [{ field: 'mtls', message: 'has to be set when zoneEgress enabled' }]
    : [];
}

function named(name: string | undefined, path: string): Violation[] {
  return name === undefined || name === '' ? [{ field: `${path}.name`, message: 'cannot be empty' }] : [];
}

function repeatedNames(backends: readonly { readonly name?: string }[], path: string): readonly Violation[] {
  const seen = new Set<string>();
  const out: Violation[] = [];
  for (const [index, { name = '' }] of backends.entries()) {
    if (seen.has(name)) {
      out.push({
        field: `${path}[${index}].name`,
        message: `${JSON.stringify(name)} name is already used for another backend`,
      });
    }
    seen.add(name);
  }
  return out;
}

function notListed(
  name: string | undefined,
  backends: readonly { readonly name?: string }[],
  field: string,
  message: string,
): readonly Violation[] {
  const listed = name === undefined || name === '' || backends.some((backend) => (backend.name ?? '') === name);
  return listed ? [] : [{ field, message }];
}

/** Reads a free `conf` by its schema and checks it; a conf that does not fit is one violation at `path`. */
function withConf<T>(
  schema: z.ZodType<T>,
  conf: unknown,
  path: string,
  check: (conf: T) => readonly Violation[],
): readonly Violation[] {
  let typed: T;
  try {
    typed = fromProtoJson(schema, conf ?? {});
  } catch (error) {
    return [
      { field: path, message: `could not parse config: ${error instanceof Error ? error.message : String(error)}` },
    ];
  }
  return check(typed);
}
