import { validateName } from '../name.ts';
import type { Violation } from '../resource.ts';
import { isHostName, isIP, isRequestUri } from './address.ts';
import type { DataplaneInbound, DataplaneNetworking, DataplaneOutbound, DataplaneSpec } from './dataplane.ts';
import { validateMetricsBackend } from './mesh-validate.ts';
import { PROTOCOL_TAG, SERVICE_TAG, validateTags } from './tags.ts';

const BACKEND_KINDS = ['MeshExternalService', 'MeshMultiZoneService', 'MeshService'];
const KNOWN_PROTOCOLS = ['http', 'http2', 'tcp', 'tls', 'grpc', 'kafka', 'mysql'];
const PORT_RANGE = 'port must be in the range [1, 65535]';

/** Static checks of a Dataplane; source: Kuma 2.11 `DataplaneResource.Validate`. */
export function validateDataplane(spec: DataplaneSpec): readonly Violation[] {
  const networking = spec.networking;
  if (networking === undefined) return [{ field: 'networking', message: 'must be defined' }];
  return [...adminPort(networking), ...roleChecks(spec, networking), ...common(networking)];
}

function roleChecks(spec: DataplaneSpec, networking: DataplaneNetworking): readonly Violation[] {
  const inbounds = networking.inbound ?? [];
  const gateway = networking.gateway;
  if (gateway === undefined) {
    return [
      ...(inbounds.length === 0
        ? [{ field: 'networking', message: 'has to contain at least one inbound interface or gateway' }]
        : []),
      ...probes(spec),
      ...(spec.metrics === undefined ? [] : validateMetricsBackend(spec.metrics, 'metrics')),
    ];
  }
  const builtin = gateway.type === 'BUILTIN';
  const out: Violation[] = [];
  if (inbounds.length > 0) {
    out.push({
      field: 'networking.inbound',
      message: `inbound cannot be defined for ${builtin ? 'builtin' : 'delegated'} gateways`,
    });
  }
  if (builtin && (networking.outbound ?? []).length > 0) {
    out.push({ field: 'networking.outbound', message: 'outbound cannot be defined for builtin gateways' });
  }
  if (builtin && spec.probes !== undefined) {
    out.push({ field: 'networking.probes', message: 'probes cannot be defined for builtin gateways' });
  }
  out.push(
    ...validateTags('networking.gateway.tags', gateway.tags, {
      requireService: true,
      extra: (tags) => {
        const protocol = tags[PROTOCOL_TAG];
        if (protocol === undefined || protocol === 'tcp') return [];
        return [
          {
            field: `networking.gateway.tags["${PROTOCOL_TAG}"]`,
            message: `other values than tcp are not allowed, provided value "${protocol}"`,
          },
        ];
      },
    }),
  );
  return builtin ? out : [...out, ...probes(spec)];
}

function common(networking: DataplaneNetworking): readonly Violation[] {
  return [
    ...proxyAddress(networking.address ?? ''),
    ...(networking.inbound ?? []).flatMap((one, index) =>
      inbound(one, networking.address ?? '', `networking.inbound[${index}]`),
    ),
    ...(networking.outbound ?? []).flatMap((one, index) => outbound(one, `networking.outbound[${index}]`)),
    ...reachableBackends(networking),
  ];
}

function adminPort(networking: DataplaneNetworking): readonly Violation[] {
  const port = networking.admin?.port;
  if (networking.admin === undefined) return [];
  const onLoopback = (address: string) => address === '0.0.0.0' || address === '::' || address === '127.0.0.1';
  const usesInbound = (networking.inbound ?? []).some((one) => {
    const address = one.address ?? networking.address ?? '';
    return (
      (one.port === port && onLoopback(address)) ||
      ((one.servicePort ?? one.port) === port && onLoopback(one.serviceAddress ?? address))
    );
  });
  const usesOutbound = (networking.outbound ?? []).some(
    (one) => one.port === port && onLoopback(one.address ?? '127.0.0.1'),
  );
  const field = 'networking.admin.port';
  return [
    ...(usesInbound ? [{ field, message: 'must differ from inbound' }] : []),
    ...(usesOutbound ? [{ field, message: 'must differ from outbound' }] : []),
  ];
}

function proxyAddress(address: string): readonly Violation[] {
  const field = 'networking.address';
  if (address === '') return [{ field, message: "address can't be empty" }];
  const out: Violation[] = [];
  if (address === '0.0.0.0' || address === '::') out.push({ field, message: 'must not be 0.0.0.0 or ::' });
  if (!isIP(address) && !isHostName(address)) {
    out.push({ field, message: 'address has to be valid IP address or domain name' });
  }
  return out;
}

function inbound(one: DataplaneInbound, proxyAddress: string, path: string): readonly Violation[] {
  const out: Violation[] = [...port(one.port, `${path}.port`)];
  if (one.servicePort !== undefined) out.push(...port(one.servicePort, `${path}.servicePort`));
  const samePort = one.servicePort === undefined || one.servicePort === one.port;
  const clash = {
    field: `${path}.serviceAddress`,
    message: 'serviceAddress and servicePort has to differ from address and port',
  };
  if (one.serviceAddress !== undefined) {
    if (!isIP(one.serviceAddress)) {
      out.push({ field: `${path}.serviceAddress`, message: 'serviceAddress has to be valid IP address' });
    }
    if (one.serviceAddress === proxyAddress && samePort) out.push(clash);
  }
  if (one.address !== undefined) {
    if (!isIP(one.address)) out.push({ field: `${path}.address`, message: 'address has to be valid IP address' });
    if (one.address === one.serviceAddress && samePort) out.push(clash);
  }
  out.push(...validateTags(`${path}.tags`, one.tags, { extra: (tags) => protocolTag(tags, path) }));
  out.push(...serviceProbe(one, path));
  if (!Object.hasOwn(one.tags ?? {}, SERVICE_TAG)) {
    out.push({ field: `${path}.tags["${SERVICE_TAG}"]`, message: 'tag has to exist' });
  }
  return out;
}

function protocolTag(tags: Readonly<Record<string, string>>, path: string): readonly Violation[] {
  const value = tags[PROTOCOL_TAG];
  if (value === undefined || KNOWN_PROTOCOLS.includes(value.toLowerCase())) return [];
  return [
    {
      field: `${path}.tags["${PROTOCOL_TAG}"]`,
      message: `tag "${PROTOCOL_TAG}" has an invalid value ${JSON.stringify(value)}. Allowed values: grpc, http, http2, kafka, tcp`,
    },
  ];
}

function serviceProbe(one: DataplaneInbound, path: string): readonly Violation[] {
  const probe = one.serviceProbe;
  if (probe === undefined) return [];
  const wrong = (['interval', 'timeout', 'unhealthyThreshold', 'healthyThreshold'] as const).filter((name) => {
    const value = probe[name];
    return value !== undefined && (value === 0 || value === '0s');
  });
  return wrong.map((name) => ({ field: `${path}.serviceProbe.${name}`, message: 'must have a positive value' }));
}

function outbound(one: DataplaneOutbound, path: string): readonly Violation[] {
  const out: Violation[] = [...port(one.port, `${path}.port`)];
  const tagCount = Object.keys(one.tags ?? {}).length;
  if (one.address !== undefined && !isIP(one.address)) {
    out.push({ field: `${path}.address`, message: 'address has to be valid IP address' });
  }
  const ref = one.backendRef;
  if (ref === undefined) {
    out.push(
      ...(tagCount === 0
        ? [{ field: `${path}.tags`, message: `mandatory tag "${SERVICE_TAG}" is missing` }]
        : validateTags(`${path}.tags`, one.tags, { requireService: true })),
    );
    return out;
  }
  if (!BACKEND_KINDS.includes(ref.kind)) {
    out.push({
      field: `${path}.backendRef.kind`,
      message: `invalid value. Available values are: ${BACKEND_KINDS.join(',')}`,
    });
  }
  if (ref.name === undefined && Object.keys(ref.labels ?? {}).length === 0) {
    out.push({ field: `${path}.backendRef`, message: "either 'name' or 'labels' should be specified" });
  }
  // The port of a MeshExternalService comes from its endpoints.
  if (ref.kind !== 'MeshExternalService') out.push(...port(ref.port ?? 0, `${path}.backendRef.port`));
  if (tagCount > 0)
    out.push({ field: `${path}.backendRef`, message: 'both backendRef and tags/service cannot be defined' });
  return out;
}

function reachableBackends(networking: DataplaneNetworking): readonly Violation[] {
  return (networking.transparentProxying?.reachableBackends?.refs ?? []).flatMap((ref, index) => {
    // "Proxing" is how the path is spelled on the wire (Kuma 2.11).
    const path = `networking.transparentProxing.reachableBackends.refs[${index}]`;
    const hasLabels = Object.keys(ref.labels ?? {}).length > 0;
    const out: Violation[] = [];
    if (!BACKEND_KINDS.includes(ref.kind)) {
      out.push({ field: `${path}.kind`, message: `invalid value. Available values are: ${BACKEND_KINDS.join(',')}` });
    }
    if (ref.name !== undefined) out.push(...validateName(ref.name, `${path}.name`));
    if (ref.name === undefined && ref.namespace === undefined && !hasLabels) {
      out.push({ field: `${path}.name`, message: 'name or labels are required' });
    }
    if (ref.name === undefined && ref.namespace !== undefined) {
      out.push({ field: `${path}.name`, message: 'name is required, when namespace is defined' });
    }
    if ((ref.name !== undefined || ref.namespace !== undefined) && hasLabels) {
      out.push({ field: `${path}.labels`, message: 'labels cannot be defined when name is specified' });
    }
    return out;
  });
}

function probes(spec: DataplaneSpec): readonly Violation[] {
  if (spec.probes === undefined) return [];
  const badPath = 'should be a valid URL Path';
  return [
    ...port(spec.probes.port ?? 0, 'probes.port'),
    ...(spec.probes.endpoints ?? []).flatMap((endpoint, index) => {
      const path = `probes.endpoints[${index}]`;
      return [
        ...port(endpoint.inboundPort ?? 0, `${path}.inboundPort`),
        ...(isRequestUri(endpoint.inboundPath ?? '') ? [] : [{ field: `${path}.inboundPath`, message: badPath }]),
        ...(isRequestUri(endpoint.path ?? '') ? [] : [{ field: `${path}.path`, message: badPath }]),
      ];
    }),
  ];
}

function port(value: number, field: string): readonly Violation[] {
  return Number.isInteger(value) && value >= 1 && value <= 65535 ? [] : [{ field, message: PORT_RANGE }];
}
