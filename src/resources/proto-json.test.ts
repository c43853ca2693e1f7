import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dataplaneKind } from './kinds/dataplane.ts';
import { dataplaneInsightKind } from './kinds/dataplane-insight.ts';
import { meshKind } from './kinds/mesh.ts';
import { secretKind } from './kinds/secret.ts';
import { fromProtoJson, ProtoJsonError, toProtoJson } from './proto-json.ts';

const mesh = (value: unknown) => fromProtoJson(meshKind.schema, value);
const dataplane = (value: unknown) => fromProtoJson(dataplaneKind.schema, value);

describe('reading proto3 JSON', () => {
  it('ignores unknown fields, at every level', () => {
    expect(mesh({ mtls: { enabledBackend: 'a', nope: 1 }, extra: {} })).toEqual({ mtls: { enabledBackend: 'a' } });
  });

  it('leaves zero values of plain fields out and keeps those of wrappers', () => {
    const spec = mesh({
      mtls: { enabledBackend: '', skipValidation: false, backends: [] },
      networking: { outbound: { passthrough: false } },
      meshServices: { mode: 'Disabled' },
    });
    expect(spec).toEqual({ mtls: {}, networking: { outbound: { passthrough: false } }, meshServices: {} });
  });

  it('fills required fields with their zero value, so that validation can name them', () => {
    expect(dataplane({ networking: { inbound: [{}] } })).toEqual({ networking: { inbound: [{ port: 0 }] } });
  });

  it('takes original proto names, numbers as strings, enum numbers and null', () => {
    const spec = dataplane({
      networking: {
        address: null,
        transparent_proxying: { redirect_port_inbound: '15006', ip_family_mode: 2 },
        inbound: [{ port: '80', state: 1, serviceProbe: { unhealthy_threshold: 0 } }],
      },
    });
    expect(spec).toEqual({
      networking: {
        inbound: [{ port: 80, state: 'NotReady', serviceProbe: { unhealthyThreshold: 0 } }],
        transparentProxying: { redirectPortInbound: 15006, ipFamilyMode: 'IPv4' },
      },
    });
  });

  it.each([
    ['10s', '10s'],
    ['1m30s', '90s'],
    ['250ms', '0.250s'],
    ['1500us', '0.001500s'],
    ['1ns', '0.000000001s'],
  ])('brings the duration %s to %s', (given, expected) => {
    const spec = mesh({ mtls: { backends: [{ name: 'a', type: 'builtin', dpCert: { requestTimeout: given } }] } });
    expect(spec.mtls?.backends?.[0]?.dpCert?.requestTimeout).toBe(expected);
  });

  it('prints 64-bit counts as strings', () => {
    const spec = fromProtoJson(dataplaneInsightKind.schema, {
      subscriptions: [{ id: '1', status: { total: { responsesSent: 7, responsesRejected: '0' } } }],
    });
    expect(spec.subscriptions?.[0]?.status?.total).toEqual({ responsesSent: '7' });
  });

  it.each([
    ['a string for a message', { mtls: 'x' }, 'mtls'],
    ['a number for a string', { mtls: { enabledBackend: 3 } }, 'mtls.enabledBackend'],
    ['a string for a bool', { routing: { zoneEgress: 'yes' } }, 'routing.zoneEgress'],
    ['an object for a list', { mtls: { backends: {} } }, 'mtls.backends'],
    ['an unknown enum value', { meshServices: { mode: 'Some' } }, 'meshServices.mode'],
    [
      'a number for a duration',
      { mtls: { backends: [{ rootChain: { requestTimeout: 5 } }] } },
      'mtls.backends[0].rootChain.requestTimeout',
    ],
    ['a list for a struct', { mtls: { backends: [{ conf: [] }] } }, 'mtls.backends[0].conf'],
    [
      'a number in a string map',
      { constraints: { dataplaneProxy: { requirements: [{ tags: { a: 1 } }] } } },
      'constraints.dataplaneProxy.requirements[0].tags',
    ],
  ])('refuses %s and says where', (_what, value, path) => {
    const error = failure(() => mesh(value));
    expect(error.path.startsWith(path)).toBe(true);
  });

  it('refuses what is no base64 in bytes', () => {
    expect(() => fromProtoJson(secretKind.schema, { data: '***' })).toThrow(ProtoJsonError);
  });

  it('keeps a free conf as it is', () => {
    const conf = { caCert: { RSAbits: 0, expiration: '' }, list: [null, false] };
    expect(mesh({ mtls: { backends: [{ name: 'a', type: 'x', conf }] } }).mtls?.backends?.[0]?.conf).toEqual(conf);
  });

  it('never throws anything but its own error, and reading twice changes nothing', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: false, maxDepth: 5 }),
        fc.constantFrom(meshKind, dataplaneKind, dataplaneInsightKind),
        (value, kind) => {
          let spec: unknown;
          try {
            spec = fromProtoJson(kind.schema as typeof meshKind.schema, value);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtoJsonError);
            return;
          }
          expect(fromProtoJson(kind.schema as typeof meshKind.schema, spec)).toEqual(spec);
        },
      ),
    );
  });
});

describe('writing proto3 JSON', () => {
  it('drops zero values that a program put in, in schema order', () => {
    const json = toProtoJson(dataplaneInsightKind.schema, {
      mTLS: { issuedBackend: '', certificateRegenerations: 0 },
      subscriptions: [{ generation: 0, id: 'x', status: {} }],
    });
    expect(JSON.stringify(json)).toBe('{"subscriptions":[{"id":"x","status":{}}],"mTLS":{}}');
  });
});

function failure(run: () => unknown): ProtoJsonError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtoJsonError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
