import { z } from 'zod';

/** Versions a launcher reports; any part may be missing. */
const version = z.looseObject({
  kumaDp: z.record(z.string(), z.string()).optional(),
  envoy: z.record(z.string(), z.union([z.string(), z.boolean()])).optional(),
});

const text = z.string().default('');
const port = z.number().int().min(0).max(65535).default(0);

const schema = z.object({
  mesh: text,
  name: text,
  proxyType: text,
  dataplaneToken: text,
  dataplaneTokenPath: text,
  dataplaneResource: text,
  version: version.default({}),
  caCert: text,
  dynamicMetadata: z.record(z.string(), z.string()).nullish(),
  dnsPort: port,
  readinessPort: port,
  /** Inverted on the wire since Kuma 2.9: `true` means that the probe proxy is on (quirk 5). */
  appProbeProxyDisabled: z.boolean().default(false),
  operatingSystem: text,
  features: z.array(z.string()).nullish(),
  resources: z.looseObject({ maxHeapSizeBytes: z.number().default(0) }).default({ maxHeapSizeBytes: 0 }),
  workdir: text,
  metricsResources: z.looseObject({ certPath: text, keyPath: text }).default({ certPath: '', keyPath: '' }),
  systemCaPath: text,
  dataplaneConfig: z.record(z.string(), z.unknown()).nullish(),
  ipv6Enabled: z.boolean().default(false),
  /** Ours: a unix socket for Envoy's admin API, so that no port of the machine is taken for it. */
  adminSocketPath: text,
  /** Ours: the proxy's key is made beside it, and Envoy gets it from this unix socket. */
  keySocketPath: text,
});

/** Body of `POST /bootstrap`. Source: Kuma 2.11 `pkg/xds/bootstrap/types`; `adminSocketPath` and `keySocketPath` are Weft's. */
export type BootstrapRequest = Readonly<z.infer<typeof schema>>;

/** The request, or why it can't be read. Unknown fields are ignored: newer launchers send more. */
export function parseBootstrapRequest(body: unknown): { request: BootstrapRequest } | { problem: string } {
  const parsed = schema.safeParse(body);
  if (parsed.success) return { request: parsed.data };
  const { path, message } = parsed.error.issues[0]!;
  return { problem: `read bootstrap request: ${path.join('.') || 'body'}: ${message}` };
}
