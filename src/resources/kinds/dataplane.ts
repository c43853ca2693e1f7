import { z } from 'zod';
import type { Kind } from '../kind.ts';
import {
  type DeepReadonly,
  duration,
  flag,
  message,
  struct,
  text,
  textMap,
  uint32,
  uint32Wrapper,
} from '../proto-json.ts';
import { validateDataplane } from './dataplane-validate.ts';

const inbound = () =>
  message(
    {
      servicePort: uint32(),
      serviceAddress: text(),
      address: text(),
      tags: textMap(),
      name: text(),
      /** Absent: `Ready`, unless the older `health` says otherwise. */
      state: z.enum(['Ready', 'NotReady', 'Ignored']),
      health: message({ ready: flag() }),
      serviceProbe: message({
        interval: duration(),
        timeout: duration(),
        unhealthyThreshold: uint32Wrapper(),
        healthyThreshold: uint32Wrapper(),
        tcp: message({}),
      }),
    },
    { port: uint32() },
  );

const outbound = () =>
  message(
    {
      address: text(),
      tags: textMap(),
      backendRef: message({ name: text(), port: uint32(), labels: textMap() }, { kind: text() }),
    },
    { port: uint32() },
  );

const reachableBackend = () =>
  message({ name: text(), namespace: text(), port: uint32Wrapper(), labels: textMap() }, { kind: text() });

/** Kuma 2.11-2.14's `mesh.v1alpha1.Dataplane`. */
const schema = message({
  networking: message({
    address: text(),
    advertisedAddress: text(),
    inbound: z.array(inbound()),
    outbound: z.array(outbound()),
    gateway: message({ type: z.enum(['DELEGATED', 'BUILTIN']), tags: textMap() }),
    transparentProxying: message({
      redirectPortInbound: uint32(),
      redirectPortOutbound: uint32(),
      directAccessServices: z.array(text()),
      reachableServices: z.array(text()),
      reachableBackends: message({ refs: z.array(reachableBackend()) }),
      ipFamilyMode: z.enum(['UnSpecified', 'DualStack', 'IPv4', 'IPv6']),
    }),
    admin: message({ port: uint32() }),
  }),
  metrics: message({ name: text(), type: text(), conf: struct() }),
  probes: message({
    port: uint32(),
    endpoints: z.array(message({ inboundPort: uint32(), inboundPath: text(), path: text() })),
  }),
});

export type DataplaneSpec = DeepReadonly<z.infer<typeof schema>>;
export type DataplaneNetworking = NonNullable<DataplaneSpec['networking']>;
export type DataplaneInbound = NonNullable<DataplaneNetworking['inbound']>[number];
export type DataplaneOutbound = NonNullable<DataplaneNetworking['outbound']>[number];

export const dataplaneKind: Kind<DataplaneSpec> = {
  type: 'Dataplane',
  path: 'dataplanes',
  pathAliases: [],
  scope: 'Mesh',
  model: 'inline',
  shortName: 'dp',
  singularDisplayName: 'Dataplane',
  pluralDisplayName: 'Dataplanes',
  access: 'everyone',
  readOnly: false,
  internal: false,
  includeInFederation: false,
  kubernetesScope: 'Namespaced',
  schema,
  validate: validateDataplane,
};

/** A gateway that terminates client traffic itself. */
export function isBuiltinGateway(spec: DataplaneSpec): boolean {
  return spec.networking?.gateway?.type === 'BUILTIN';
}

/** A gateway of someone else whose outgoing side is in the mesh. DELEGATED is the zero value, so an absent type is one. */
export function isDelegatedGateway(spec: DataplaneSpec): boolean {
  return spec.networking?.gateway !== undefined && !isBuiltinGateway(spec);
}

/** Every tag set the proxy stands for: each inbound's, and the gateway's. */
export function tagSetsOf(spec: DataplaneSpec): readonly Readonly<Record<string, string>>[] {
  const gateway = spec.networking?.gateway;
  const inbounds = (spec.networking?.inbound ?? []).map((one) => one.tags ?? {});
  return gateway === undefined ? inbounds : [...inbounds, gateway.tags ?? {}];
}

/** Every value that each tag has in any tag set of the proxy. */
export function tagValuesOf(spec: DataplaneSpec): ReadonlyMap<string, ReadonlySet<string>> {
  const values = new Map<string, Set<string>>();
  for (const tags of tagSetsOf(spec)) {
    for (const [tag, value] of Object.entries(tags)) {
      const known = values.get(tag);
      if (known) known.add(value);
      else values.set(tag, new Set([value]));
    }
  }
  return values;
}
