import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '@weft/protos/envoy/service/discovery/v3/discovery_pb.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDeltaSync } from './delta.ts';
import type { DeltaRequest, SotwRequest } from './request.ts';
import { createSotwSync } from './sotw.ts';
import { OPEN, type Outgoing, type TypeSync } from './sync.ts';
import { type EncodedResource, TYPE, type TypedResources, type TypeUrl } from './xds.ts';

const NAMES = ['a', 'b', 'c', 'd'];

/** What a client does with a response: takes it, refuses one, drops all because of one, refuses all without a name. */
type Refuse = 'no' | 'named' | 'whole' | 'unnamed';

type Op =
  | { kind: 'subscribe' | 'unsubscribe'; name: string }
  | { kind: 'change'; name: string; version: string | undefined }
  | { kind: 'toServer' }
  | { kind: 'toClient'; refuse: Refuse };

const name = fc.constantFrom(...NAMES);
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
    name: fc.oneof(name, fc.constant('*')),
  }),
  fc.record({
    kind: fc.constant('change' as const),
    name,
    version: fc.option(fc.constantFrom('1', '2', '3'), { nil: undefined }),
  }),
  { weight: 3, arbitrary: fc.constant({ kind: 'toServer' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('toClient' as const),
      refuse: fc.constantFrom('no', 'no', 'no', 'named', 'whole', 'unnamed'),
    }),
  },
) as fc.Arbitrary<Op>;

/** Carries its name as type and its version as value, to be read back from a response. */
function resource(resourceName: string, version: string): EncodedResource {
  const any = toBinary(AnySchema, create(AnySchema, { typeUrl: resourceName, value: Buffer.from(version) }));
  return { name: resourceName, version, any };
}

function withChange(target: TypedResources, changed: string, version: string | undefined): TypedResources {
  const next = new Map(target);
  if (version === undefined) next.delete(changed);
  else next.set(changed, resource(changed, version));
  return next;
}

/** A client that follows the protocol's text, with messages under way in both directions. */
interface Client<Request> {
  subscribe(names: readonly string[]): void;
  unsubscribe(names: readonly string[]): void;
  /** Handles a response; `bad` are refused. */
  receive(outgoing: Outgoing, refuse: Refuse): void;
  readonly requests: Request[];
  readonly cache: ReadonlyMap<string, string>;
  wants(name: string): boolean;
  /** Name and version pairs refused so far. */
  readonly refused: ReadonlySet<string>;
}

/** Envoy's texts. */
function nackOf(typeUrl: TypeUrl, refuse: Refuse, bad: string) {
  const message = {
    no: '',
    named: `${partial(typeUrl) ? 'Error adding/updating cluster(s) ' : ''}${bad}: no`,
    whole: `goo.gle/debugproto  \nname: "${bad}"\n: Proto constraint validation failed`,
    unnamed: 'no',
  }[refuse];
  return { code: 3, message };
}

const partial = (typeUrl: TypeUrl) => typeUrl === TYPE.cluster || typeUrl === TYPE.listener;

function createDeltaClient(typeUrl: TypeUrl, legacyWildcard: boolean): Client<DeltaRequest> {
  const requests: DeltaRequest[] = [];
  const cache = new Map<string, string>();
  const names = new Set<string>();
  const refused = new Set<string>();
  /** May come although held: asked for again. */
  const askedAgain = new Set<string>();
  let wildcard = legacyWildcard && partial(typeUrl);
  const push = (part: Partial<DeltaRequest>) =>
    requests.push({
      typeUrl,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map(),
      nonce: '',
      error: undefined,
      node: undefined,
      ...part,
    });
  push(legacyWildcard ? {} : { subscribe: ['a'] });
  if (!legacyWildcard) names.add('a');
  const wants = (wanted: string) => wildcard || names.has(wanted);
  return {
    requests,
    cache,
    refused,
    wants,
    subscribe(subscribed) {
      for (const each of subscribed) {
        if (each === '*') wildcard = true;
        else names.add(each);
        askedAgain.add(each);
      }
      push({ subscribe: subscribed });
    },
    unsubscribe(unsubscribed) {
      for (const each of unsubscribed) {
        if (each === '*') wildcard = false;
        else names.delete(each);
        askedAgain.add(each);
      }
      for (const held of cache.keys()) if (!wants(held)) cache.delete(held);
      push({ unsubscribe: unsubscribed });
    },
    receive(outgoing, refuse) {
      const response = fromBinary(DeltaDiscoveryResponseSchema, outgoing.bytes);
      const got = response.resources;
      const bad = new Set(
        refuse === 'no'
          ? []
          : refuse === 'named'
            ? got.slice(0, 1).map((each) => each.name)
            : got.map((each) => each.name),
      );
      for (const { name: gotName, version } of got) {
        if (cache.get(gotName) === version && !askedAgain.has('*'))
          expect(askedAgain, `${gotName} ${version} came again`).toContain(gotName);
        if (bad.has(gotName)) refused.add(`${gotName} ${version}`);
        else if (bad.size > 0 && (refuse === 'whole' || !partial(typeUrl))) continue;
        else if (wants(gotName)) cache.set(gotName, version);
      }
      if (bad.size === 0 || refuse !== 'whole') for (const removed of response.removedResources) cache.delete(removed);
      push({
        nonce: response.nonce,
        error: bad.size > 0 ? nackOf(typeUrl, refuse, [...bad][0]!) : undefined,
      });
    },
  };
}

function createSotwClient(typeUrl: TypeUrl, legacyWildcard: boolean): Client<SotwRequest> {
  const requests: SotwRequest[] = [];
  const cache = new Map<string, string>();
  const names = new Set<string>(legacyWildcard ? [] : ['a']);
  const refused = new Set<string>();
  let version = '';
  let nonce = '';
  let legacy = legacyWildcard && partial(typeUrl);
  const push = (error?: SotwRequest['error']) =>
    requests.push({ typeUrl, names: [...names], version, nonce, error, node: undefined });
  push();
  const wants = (wanted: string) => names.has('*') || names.has(wanted) || (legacy && names.size === 0);
  const changed = () => {
    if (names.size > 0) legacy = false;
    for (const held of cache.keys()) if (!wants(held)) cache.delete(held);
    push();
  };
  return {
    requests,
    cache,
    refused,
    wants,
    subscribe(subscribed) {
      for (const each of subscribed) names.add(each);
      changed();
    },
    unsubscribe(unsubscribed) {
      for (const each of unsubscribed) names.delete(each);
      changed();
    },
    receive(outgoing, refuse) {
      const response = fromBinary(DiscoveryResponseSchema, outgoing.bytes);
      const got = new Map(response.resources.map((any) => [any.typeUrl, Buffer.from(any.value).toString()]));
      if (!partial(typeUrl))
        for (const [each, was] of got) expect(cache.get(each), `${each} ${was} came again`).not.toBe(was);
      const fresh = [...got].filter(([each, was]) => wants(each) && cache.get(each) !== was).map(([each]) => each);
      const bad = new Set(refuse === 'no' ? [] : refuse === 'named' || refuse === 'whole' ? fresh.slice(0, 1) : fresh);
      for (const [each, was] of got) {
        if (bad.has(each)) refused.add(`${each} ${was}`);
        else if (bad.size > 0 && (refuse === 'whole' || !partial(typeUrl))) continue;
        else if (wants(each)) cache.set(each, was);
      }
      if (partial(typeUrl) && (bad.size === 0 || refuse !== 'whole'))
        for (const held of cache.keys()) if (!got.has(held)) cache.delete(held);
      nonce = response.nonce;
      if (bad.size === 0) version = response.versionInfo;
      push(bad.size > 0 ? nackOf(typeUrl, refuse, [...bad][0]!) : undefined);
    },
  };
}

function run<Request>(
  sync: TypeSync<Request>,
  client: Client<Request>,
  ops: readonly Op[],
  partialType: boolean,
): void {
  let target: TypedResources = new Map([['a', resource('a', '1')]]);
  let nonces = 0;
  const responses: Outgoing[] = [];
  const flush = () => {
    const outgoing = sync.next(target, OPEN, () => String(++nonces));
    if (outgoing) responses.push(outgoing);
  };
  const toServer = () => {
    const request = client.requests.shift();
    if (request) sync.request(request);
    flush();
  };
  const toClient = (refuse: Refuse) => {
    const outgoing = responses.shift();
    if (outgoing) client.receive(outgoing, refuse);
  };
  for (const each of ops) {
    if (each.kind === 'subscribe') client.subscribe([each.name]);
    else if (each.kind === 'unsubscribe') client.unsubscribe([each.name]);
    else if (each.kind === 'change') {
      target = withChange(target, each.name, each.version);
      flush();
    } else if (each.kind === 'toServer') toServer();
    else if (each.kind === 'toClient') toClient(each.refuse);
  }
  let rounds = 0;
  while (client.requests.length > 0 || responses.length > 0) {
    toServer();
    toClient('no');
    if (++rounds > 100) throw new Error('never comes to rest');
  }
  expect(sync.next(target, OPEN, () => 'x')).toBeUndefined();
  for (const each of NAMES) {
    const version = target.get(each)?.version;
    const held = client.cache.get(each);
    if (!client.wants(each)) continue;
    if (version !== undefined && held !== version) expect(client.refused).toContain(`${each} ${version}`);
    if (version === undefined && partialType) expect(held, `${each} is gone`).toBeUndefined();
    expect(sync.held.get(each), `what the server believes of ${each}`).toBe(held);
  }
}

describe('delta', () => {
  for (const typeUrl of [TYPE.cluster, TYPE.endpoint, TYPE.secret]) {
    it(`brings any client to the target and repeats nothing: ${typeUrl}`, () => {
      fc.assert(
        fc.property(fc.array(op, { maxLength: 40 }), fc.boolean(), (ops, legacy) =>
          run(createDeltaSync(typeUrl), createDeltaClient(typeUrl, legacy), ops, true),
        ),
        { numRuns: 3000 },
      );
    });
  }
});

describe('state of the world', () => {
  for (const typeUrl of [TYPE.listener, TYPE.endpoint]) {
    it(`brings any client to the target and repeats nothing: ${typeUrl}`, () => {
      fc.assert(
        fc.property(fc.array(op, { maxLength: 40 }), fc.boolean(), (ops, legacy) =>
          run(createSotwSync(typeUrl), createSotwClient(typeUrl, legacy), ops, partial(typeUrl)),
        ),
        { numRuns: 3000 },
      );
    });
  }
});

describe('in particular', () => {
  const delta = (typeUrl: TypeUrl, part: Partial<DeltaRequest>): DeltaRequest => ({
    typeUrl,
    subscribe: [],
    unsubscribe: [],
    initialVersions: new Map(),
    nonce: '',
    error: undefined,
    node: undefined,
    ...part,
  });
  const sotw = (typeUrl: TypeUrl, part: Partial<SotwRequest>): SotwRequest => ({
    typeUrl,
    names: [],
    version: '',
    nonce: '',
    error: undefined,
    node: undefined,
    ...part,
  });
  const setOf = (...resources: [string, string][]): TypedResources =>
    new Map(resources.map(([each, version]) => [each, resource(each, version)]));
  const readDelta = (outgoing: Outgoing | undefined) => {
    const response = fromBinary(DeltaDiscoveryResponseSchema, outgoing!.bytes);
    return {
      sent: response.resources.map((each) => `${each.name} ${each.version}`),
      removed: response.removedResources,
    };
  };
  const readSotw = (outgoing: Outgoing | undefined) =>
    fromBinary(DiscoveryResponseSchema, outgoing!.bytes).resources.map(
      (any) => `${any.typeUrl} ${Buffer.from(any.value)}`,
    );

  it('a delta client that comes back gets only what changed or went meanwhile', () => {
    const sync = createDeltaSync(TYPE.cluster);
    const held = new Map([
      ['same', '1'],
      ['changed', '1'],
      ['gone', '1'],
    ]);
    expect(sync.request(delta(TYPE.cluster, { subscribe: ['*'], initialVersions: held }))).toEqual({ kind: 'resumed' });
    expect([...sync.held]).toEqual([...held]);
    const target = setOf(['same', '1'], ['changed', '2'], ['new', '1']);
    expect(readDelta(sync.next(target, OPEN, () => 'n'))).toEqual({ sent: ['changed 2', 'new 1'], removed: ['gone'] });
  });

  it('a delta client that comes back and misses nothing gets nothing', () => {
    const sync = createDeltaSync(TYPE.endpoint);
    sync.request(delta(TYPE.endpoint, { subscribe: ['a'], initialVersions: new Map([['a', '1']]) }));
    const target = setOf(['a', '1'], ['b', '1']);
    expect(sync.next(target, OPEN, () => 'n')).toBeUndefined();
    expect(sync.settled(target)).toBe(true);
  });

  it('tells a delta client once that endpoints do not exist, and sends them when they do', () => {
    const sync = createDeltaSync(TYPE.endpoint);
    sync.request(delta(TYPE.endpoint, { subscribe: ['a'] }));
    expect(readDelta(sync.next(setOf(), OPEN, () => '1'))).toEqual({ sent: [], removed: ['a'] });
    sync.request(delta(TYPE.endpoint, { nonce: '1' }));
    expect(sync.next(setOf(), OPEN, () => '2')).toBeUndefined();
    expect(readDelta(sync.next(setOf(['a', '1']), OPEN, () => '2'))).toEqual({ sent: ['a 1'], removed: [] });
  });

  it('keeps a client waiting for a secret that is not issued yet', () => {
    const sync = createDeltaSync(TYPE.secret);
    sync.request(delta(TYPE.secret, { subscribe: ['a'] }));
    expect(sync.next(setOf(), OPEN, () => '1')).toBeUndefined();
    expect(readDelta(sync.next(setOf(['a', '1']), OPEN, () => '1'))).toEqual({ sent: ['a 1'], removed: [] });
  });

  it('answers a wildcard with an empty response when there is nothing', () => {
    for (const typeUrl of [TYPE.cluster, TYPE.listener]) {
      const one = createDeltaSync(typeUrl);
      one.request(delta(typeUrl, {}));
      expect(readDelta(one.next(setOf(), OPEN, () => '1'))).toEqual({ sent: [], removed: [] });
      const other = createSotwSync(typeUrl);
      other.request(sotw(typeUrl, {}));
      expect(readSotw(other.next(setOf(), OPEN, () => '1'))).toEqual([]);
    }
  });

  it('takes a first request without names as nothing for types other than cluster and listener', () => {
    const sync = createDeltaSync(TYPE.endpoint);
    sync.request(delta(TYPE.endpoint, {}));
    expect(sync.next(setOf(['a', '1']), OPEN, () => '1')).toBeUndefined();
  });

  it('takes what Envoy applied of a refused cluster response as held, and sends the refused one in its next version', () => {
    const sync = createDeltaSync(TYPE.cluster);
    sync.request(delta(TYPE.cluster, {}));
    sync.next(setOf(['good', '1'], ['bad', '1']), OPEN, () => '1');
    const error = { code: 13, message: 'Error adding/updating cluster(s) bad: no such thing' };
    expect(sync.request(delta(TYPE.cluster, { nonce: '1', error }))).toEqual({
      kind: 'nack',
      nonce: '1',
      names: ['bad'],
      message: error.message,
    });
    expect([...sync.held]).toEqual([['good', '1']]);
    expect(sync.next(setOf(['good', '1'], ['bad', '1']), OPEN, () => '2')).toBeUndefined();
    expect(readDelta(sync.next(setOf(['good', '1'], ['bad', '2']), OPEN, () => '2')).sent).toEqual(['bad 2']);
  });

  it('repeats a refused listener as it was accepted last, so that state of the world does not delete it', () => {
    const sync = createSotwSync(TYPE.listener);
    sync.request(sotw(TYPE.listener, {}));
    sync.next(setOf(['a', '1'], ['b', '1']), OPEN, () => '1');
    sync.request(sotw(TYPE.listener, { nonce: '1' }));
    expect(readSotw(sync.next(setOf(['a', '2'], ['b', '2']), OPEN, () => '2'))).toEqual(['a 2', 'b 2']);
    sync.request(
      sotw(TYPE.listener, { nonce: '2', error: { code: 13, message: 'Error adding/updating listener(s) a: no' } }),
    );
    expect([...sync.held]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    expect(sync.next(setOf(['a', '2'], ['b', '2']), OPEN, () => '3')).toBeUndefined();
    expect(readSotw(sync.next(setOf(['a', '2'], ['b', '3']), OPEN, () => '3'))).toEqual(['a 1', 'b 3']);
  });

  it('keeps removed clusters in state of the world until the gate opens', () => {
    const sync = createSotwSync(TYPE.cluster);
    sync.request(sotw(TYPE.cluster, {}));
    sync.next(setOf(['old', '1']), OPEN, () => '1');
    sync.request(sotw(TYPE.cluster, { nonce: '1' }));
    const target = setOf(['new', '1']);
    expect(readSotw(sync.next(target, { additions: true, removals: false }, () => '2'))).toEqual(['new 1', 'old 1']);
    sync.request(sotw(TYPE.cluster, { nonce: '2' }));
    expect(sync.settled(target)).toBe(false);
    expect(readSotw(sync.next(target, OPEN, () => '3'))).toEqual(['new 1']);
  });

  it('sends nothing while an answer is awaited, then only the newest', () => {
    for (const [sync, ask, ack] of [
      [createDeltaSync(TYPE.cluster), delta(TYPE.cluster, {}), delta(TYPE.cluster, { nonce: '1' })],
      [createSotwSync(TYPE.cluster), sotw(TYPE.cluster, {}), sotw(TYPE.cluster, { nonce: '1' })],
    ] as [TypeSync<DeltaRequest & SotwRequest>, DeltaRequest & SotwRequest, DeltaRequest & SotwRequest][]) {
      sync.request(ask);
      sync.next(setOf(['a', '1']), OPEN, () => '1');
      for (const version of ['2', '3', '4']) expect(sync.next(setOf(['a', version]), OPEN, () => 'x')).toBeUndefined();
      sync.request(ack);
      expect(sync.next(setOf(['a', '5']), OPEN, () => '2')?.changed).toEqual(['a']);
    }
  });

  it('sends endpoints again for a changed cluster, even if they are the same', () => {
    for (const [sync, ask, ack] of [
      [
        createDeltaSync(TYPE.endpoint),
        delta(TYPE.endpoint, { subscribe: ['a'] }),
        delta(TYPE.endpoint, { nonce: '1' }),
      ],
      [
        createSotwSync(TYPE.endpoint),
        sotw(TYPE.endpoint, { names: ['a'] }),
        sotw(TYPE.endpoint, { names: ['a'], nonce: '1' }),
      ],
    ] as [TypeSync<DeltaRequest & SotwRequest>, DeltaRequest & SotwRequest, DeltaRequest & SotwRequest][]) {
      const target = setOf(['a', '1']);
      sync.request(ask);
      sync.next(target, OPEN, () => '1');
      sync.request(ack);
      expect(sync.next(target, OPEN, () => 'x')).toBeUndefined();
      sync.resend('a');
      expect(sync.next(target, OPEN, () => '2')).toBeDefined();
    }
  });
});
