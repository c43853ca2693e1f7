import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '@weft/protos/envoy/service/discovery/v3/discovery_pb.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeDeltaRequest, decodeNode, decodeNodeId, decodeSotwRequest } from './request.ts';
import { encodeDeltaResponse, encodeSotwResponse } from './response.ts';
import { TYPE, XdsError } from './xds.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const status = fc.option(fc.record({ code: fc.integer({ min: 0, max: 16 }), message: text }), { nil: undefined });

describe('responses', () => {
  const resource = fc
    .record({ name: text, version: text, value: fc.uint8Array({ maxLength: 300 }) })
    .map(({ name, version, value }) => ({
      name,
      version,
      any: toBinary(AnySchema, create(AnySchema, { typeUrl: TYPE.cluster, value })),
    }));

  it('are read by the library as what was meant, delta', () => {
    fc.assert(
      fc.property(fc.array(resource), fc.array(text), text, (resources, names, nonce) => {
        const removed = names.filter((name) => name !== '');
        const read = fromBinary(
          DeltaDiscoveryResponseSchema,
          new Uint8Array(encodeDeltaResponse({ typeUrl: TYPE.cluster, nonce, resources, removed })),
        );
        expect(read.typeUrl).toBe(TYPE.cluster);
        expect(read.nonce).toBe(nonce);
        expect(read.removedResources).toEqual(removed);
        expect(read.resources.map((each) => [each.name, each.version])).toEqual(
          resources.map((each) => [each.name, each.version]),
        );
        for (const [index, each] of read.resources.entries()) {
          expect(each.resource).toEqual(fromBinary(AnySchema, resources[index]!.any));
        }
      }),
    );
  });

  it('are read by the library as what was meant, state of the world', () => {
    fc.assert(
      fc.property(fc.array(resource), text, text, (resources, version, nonce) => {
        const read = fromBinary(
          DiscoveryResponseSchema,
          new Uint8Array(encodeSotwResponse({ typeUrl: TYPE.cluster, nonce, version, resources })),
        );
        expect(read).toEqual(
          create(DiscoveryResponseSchema, {
            typeUrl: TYPE.cluster,
            nonce,
            versionInfo: version,
            resources: resources.map((each) => fromBinary(AnySchema, each.any)),
          }),
        );
      }),
    );
  });

  it('hold resources of any size', () => {
    for (const size of [0, 127, 128, 16_383, 16_384, 2_097_152]) {
      const any = toBinary(AnySchema, create(AnySchema, { typeUrl: TYPE.cluster, value: new Uint8Array(size) }));
      const bytes = encodeDeltaResponse({
        typeUrl: TYPE.cluster,
        nonce: '1',
        resources: [{ name: 'x', version: 'y', any }],
        removed: [],
      });
      expect(fromBinary(DeltaDiscoveryResponseSchema, bytes).resources[0]!.resource!.value.length).toBe(size);
    }
  });
});

describe('requests', () => {
  it('are read as the library reads them, delta', () => {
    const request = fc.record({
      typeUrl: text,
      resourceNamesSubscribe: fc.array(text),
      resourceNamesUnsubscribe: fc.array(text),
      initialResourceVersions: fc.dictionary(text, text, { noNullPrototype: true }),
      responseNonce: text,
      errorDetail: status,
    });
    fc.assert(
      fc.property(request, (message) => {
        const read = decodeDeltaRequest(
          toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, message)),
        );
        expect(read.typeUrl).toBe(message.typeUrl);
        expect(read.subscribe).toEqual(message.resourceNamesSubscribe);
        expect(read.unsubscribe).toEqual(message.resourceNamesUnsubscribe);
        expect([...read.initialVersions].sort()).toEqual(Object.entries(message.initialResourceVersions).sort());
        expect(read.nonce).toBe(message.responseNonce);
        expect(read.error).toEqual(message.errorDetail);
      }),
    );
  });

  it('are read as the library reads them, state of the world', () => {
    const request = fc.record({
      typeUrl: text,
      resourceNames: fc.array(text),
      versionInfo: text,
      responseNonce: text,
      errorDetail: status,
    });
    fc.assert(
      fc.property(request, (message) => {
        const read = decodeSotwRequest(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, message)));
        expect(read).toEqual({
          typeUrl: message.typeUrl,
          names: message.resourceNames,
          version: message.versionInfo,
          nonce: message.responseNonce,
          error: message.errorDetail,
          node: undefined,
        });
      }),
    );
  });

  it('give the node as plain data', () => {
    const bytes = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        node: {
          id: 'default.web',
          cluster: 'web',
          metadata: { 'dataplane.resource': 'type: Dataplane', features: ['one'], nested: { port: 9901 } },
          userAgentName: 'envoy',
          userAgentVersionType: {
            case: 'userAgentBuildVersion',
            value: { version: { majorNumber: 1, minorNumber: 40, patch: 0 }, metadata: { 'build.type': 'RELEASE' } },
          },
          extensions: [{ name: 'envoy.filters.http.router', category: 'envoy.filters.http' }],
        },
      }),
    );
    const { node } = decodeDeltaRequest(bytes);
    expect(decodeNodeId(node!)).toBe('default.web');
    expect(decodeNode(node!)).toEqual({
      id: 'default.web',
      cluster: 'web',
      metadata: { 'dataplane.resource': 'type: Dataplane', features: ['one'], nested: { port: 9901 } },
      envoyVersion: '1.40.0',
      userAgent: 'envoy',
    });
  });

  it('fail with a typed error, whatever the bytes', () => {
    const good = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        node: { id: 'default.web', metadata: { a: { b: [1, 'x'] } } },
        typeUrl: TYPE.cluster,
        resourceNamesSubscribe: ['a', 'b'],
        initialResourceVersions: { a: '1' },
        errorDetail: { code: 3, message: 'no' },
      }),
    );
    const mutated = fc
      .array(fc.record({ at: fc.nat(good.length), byte: fc.nat(255), cut: fc.boolean() }), {
        minLength: 1,
        maxLength: 6,
      })
      .map((changes) => {
        let bytes = Uint8Array.from(good);
        for (const { at, byte, cut } of changes) {
          if (cut) bytes = bytes.subarray(0, at);
          else bytes[at] = byte;
        }
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        for (const decode of [decodeDeltaRequest, decodeSotwRequest, decodeNode]) {
          try {
            const read = decode(bytes);
            if ('node' in read && read.node) decodeNode(read.node);
          } catch (error) {
            expect(error).toBeInstanceOf(XdsError);
            expect((error as XdsError).code).toBe('invalid-argument');
          }
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('survive metadata nested deeper than anything sane', () => {
    const wrap = (tag: number, body: Uint8Array) => {
      const head = [tag];
      let rest = body.length;
      for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) | 128);
      head.push(rest);
      return Buffer.concat([Uint8Array.from(head), body]);
    };
    // Struct.fields { value { list_value { values { list_value ...
    let value: Uint8Array = Uint8Array.of(0x08, 0x00);
    for (let depth = 0; depth < 3000; depth++) value = wrap(0x32, wrap(0x0a, value));
    const node = wrap(0x1a, wrap(0x0a, Buffer.concat([Uint8Array.of(0x0a, 0x01, 0x61), wrap(0x12, value)])));
    try {
      expect(decodeNode(node).id).toBe('');
    } catch (error) {
      expect(error).toBeInstanceOf(XdsError);
    }
  });
});
