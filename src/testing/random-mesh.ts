import fc from 'fast-check';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import type { DataplaneSpec } from '../resources/kinds/dataplane.ts';
import type { MeshSpec } from '../resources/kinds/mesh.ts';
import type { Resource } from '../resources/resource.ts';
import { resourceOf, snapshotOf } from './sidecar-cases.ts';

export interface RandomMesh {
  readonly resources: readonly Resource[];
  readonly snapshot: MeshSnapshot;
  /** Name of one of its Dataplanes. */
  readonly proxy: string;
}

/** Valid Mesh, Dataplanes and MeshTrafficPermissions: every protocol and mode, odd but allowed tags. */
export function anyMesh(): fc.Arbitrary<RandomMesh> {
  return fc
    .tuple(
      anyMeshSpec(),
      fc.array(anyDataplane(), { minLength: 1, maxLength: 5 }),
      fc.array(anyPermission(), { maxLength: 4 }),
    )
    .map(([mesh, dataplanes, permissions]) => {
      const resources = [
        resourceOf({ type: 'Mesh', name: 'default', ...mesh }),
        ...dataplanes.map((make, index) =>
          resourceOf({
            type: 'Dataplane',
            mesh: 'default',
            name: `dp-${index}`,
            labels: { app: 'web' },
            ...make(index),
          }),
        ),
        ...permissions.map((policy, index) =>
          resourceOf({ type: 'MeshTrafficPermission', mesh: 'default', name: `mtp-${index}`, ...policy }),
        ),
      ];
      return { resources, snapshot: snapshotOf(resources), proxy: 'dp-0' };
    });
}

const SERVICES = ['web', 'api', 'a.b-c_d', 'x'.repeat(120), 'Up:8'] as const;
const service = fc.constantFrom(...SERVICES);

/** Any tag the validation takes. */
const furtherTags = fc.dictionary(
  fc.oneof(
    fc.constantFrom('version', 'kuma.io/zone', '__proto__', 'constructor', '1', 'a/b:c'),
    fc.stringMatching(/^[a-zA-Z0-9.\-_:/]{1,12}$/),
  ),
  fc.oneof(fc.constantFrom('v1', 'v2', 'toString'), fc.stringMatching(/^[a-zA-Z0-9.\-_:]{1,12}$/)),
  { maxKeys: 3 },
);

function tagsWith(name: string, further: Record<string, string>, protocol: string | undefined): Record<string, string> {
  return Object.fromEntries([
    ...Object.entries(further).filter(([key]) => !key.startsWith('kuma.io/service') && key !== 'kuma.io/protocol'),
    ['kuma.io/service', name],
    ...(protocol === undefined ? [] : [['kuma.io/protocol', protocol] as const]),
  ]);
}

function anyMeshSpec(): fc.Arbitrary<MeshSpec> {
  return fc.record({
    mtls: fc.constantFrom(
      undefined,
      { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] },
      { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin', mode: 'PERMISSIVE' as const }] },
    ),
    networking: fc.record({ outbound: fc.record({ passthrough: fc.boolean() }) }),
    routing: fc.record({ localityAwareLoadBalancing: fc.boolean() }),
  }) as fc.Arbitrary<MeshSpec>;
}

/** Address and ports come from the Dataplane's number, so that none of them meets another. */
function anyDataplane(): fc.Arbitrary<(index: number) => DataplaneSpec> {
  const inbound = fc.record({
    service,
    further: furtherTags,
    protocol: fc.constantFrom(undefined, 'tcp', 'http', 'http2', 'grpc', 'kafka', 'unheard-of'),
    state: fc.constantFrom(undefined, 'Ready' as const, 'NotReady' as const, 'Ignored' as const),
    sameMachine: fc.boolean(),
  });
  const outbound = fc.record({ service, further: fc.oneof(fc.constant({}), furtherTags) });
  return fc
    .record({
      inbound: fc.array(inbound, { minLength: 1, maxLength: 3 }),
      outbound: fc.array(outbound, { maxLength: 3 }),
      redirect: fc.constantFrom(undefined, 'DualStack' as const, 'IPv4' as const),
      hostName: fc.boolean(),
      direct: fc.boolean(),
    })
    .map(({ inbound, outbound, redirect, hostName, direct }) => (index) => ({
      networking: {
        address: `10.9.0.${index + 1}`,
        ...(hostName && { advertisedAddress: `host-${index}.example.com` }),
        inbound: inbound.map((one, at) => ({
          port: 8000 + at,
          servicePort: 9000 + at,
          ...(one.sameMachine && { serviceAddress: '127.0.0.1' }),
          tags: tagsWith(one.service, one.further, one.protocol),
          ...(one.state && { state: one.state }),
        })),
        outbound: outbound.map((one, at) => ({
          port: 20_000 + at,
          tags: tagsWith(one.service, one.further, undefined),
        })),
        ...(redirect && {
          transparentProxying: {
            redirectPortInbound: 15_006,
            redirectPortOutbound: 15_001,
            ipFamilyMode: redirect,
            ...(direct && { directAccessServices: ['*'] }),
          },
        }),
      },
    }));
}

/** Text that would mean something in a pattern. */
const oddText = fc.oneof(
  fc.constantFrom('.*', 'a|b', '(', '[', '\\1', '%2e', '%{x}', 'a\nb', '"', "'", '*', 'ä€😀'),
  fc.string({ minLength: 1, maxLength: 10 }),
);

function anyPermission(): fc.Arbitrary<Record<string, unknown>> {
  const client = fc.oneof(
    fc.constant({ kind: 'Mesh' }),
    furtherTags.map((tags) => ({ kind: 'MeshSubset', tags })),
    fc.oneof(service, oddText).map((name) => ({ kind: 'MeshService', name })),
    fc.tuple(service, furtherTags).map(([name, tags]) => ({ kind: 'MeshServiceSubset', name, tags })),
  );
  const target = fc.oneof(
    fc.constant(undefined),
    fc.constant({ kind: 'Mesh' }),
    service.map((name) => ({ kind: 'MeshService', name })),
    fc.constant({ kind: 'Dataplane', labels: { app: 'web' } }),
    fc.constant({ kind: 'MeshSubset', tags: { version: 'v1' } }),
  );
  const from = fc.array(
    fc.record({
      targetRef: client,
      default: fc.record({ action: fc.constantFrom('Allow', 'Deny', 'AllowWithShadowDeny') }),
    }),
    { minLength: 1, maxLength: 4 },
  );
  const match = fc.array(
    fc.record({ spiffeID: fc.record({ type: fc.constantFrom('Exact', 'Prefix'), value: oddText }) }),
    { maxLength: 2 },
  );
  const rules = fc.array(fc.record({ default: fc.record({ allow: match, deny: match, allowWithShadowDeny: match }) }), {
    minLength: 1,
    maxLength: 2,
  });
  return fc
    .record({
      targetRef: target,
      shadow: fc.boolean(),
      body: fc.oneof(
        from.map((list) => ({ from: list })),
        rules.map((list) => ({ rules: list })),
      ),
    })
    .map(({ targetRef, shadow, body }) => ({
      labels: shadow ? { 'kuma.io/effect': 'shadow' } : {},
      spec: { ...(targetRef && { targetRef }), ...body },
    }));
}
