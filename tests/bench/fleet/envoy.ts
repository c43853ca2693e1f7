/**
 * One simulated Envoy: an ADS stream over TLS and HTTP/2 of its own, which subscribes to what its configuration refers to and answers
 * every response, as Envoy does. Source: Envoy xDS protocol; order of subscriptions as Envoy's cluster manager and listener manager have it:
 * clusters, then their endpoints and secrets, then listeners, then routes and secrets of listeners.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { createDeframer, frame } from './framing.ts';
import { readSecret, type SecretContent, verifiedSerial } from './leaf.ts';
import {
  encodeRequest,
  type NodeSpec,
  type OutgoingRequest,
  type Protocol,
  type Received,
  readResponse,
  TYPE_NAMES,
  type TypeName,
} from './messages.ts';
import type { References } from './references.ts';

export interface EnvoyOptions {
  readonly node: NodeSpec;
  /** `https://127.0.0.1:5678` */
  readonly url: string;
  /** Value of the `authorization` header. */
  readonly authorization: string;
  readonly protocol: Protocol;
  /** Sends the node in every request, as older Envoys do over delta; kuma-cp 2.11 refuses delta requests without it. */
  readonly alwaysNode: boolean;
  readonly references: (type: TypeName, name: string, value: Uint8Array) => References;
}

/** Counts since the last `reset`. */
export interface Counts {
  readonly responses: Record<TypeName, number>;
  readonly resources: Record<TypeName, number>;
  /** HTTP/2 DATA received. */
  bytes: number;
  requests: number;
}

export interface SimulatedEnvoy {
  readonly name: string;
  readonly counts: Counts;
  /** Monotonic ms when everything it refers to was there first on the present stream; 0: not yet. */
  readonly configuredAt: number;
  /** Monotonic ms when a leaf that verifies was acknowledged; 0: never. */
  readonly leafAt: number;
  /** Monotonic ms when endpoints were acknowledged last; 0: never. */
  readonly endpointAt: number;
  readonly serial: string;
  /** Marker words and when the resource with them was acknowledged. */
  readonly markers: ReadonlyMap<string, number>;
  readonly connected: boolean;
  readonly reconnects: number;
  /** Last reason why a stream ended. */
  readonly lastError: string;
  reset(): void;
  close(): void;
}

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const RETRY_MS = 100;
const WINDOW = 16 * 1024 * 1024;

interface Held {
  readonly version: string;
  readonly references: References;
  readonly secret: SecretContent | undefined;
}

/** Milliseconds of a clock that all processes of this machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const zero = (): Record<TypeName, number> => ({ cluster: 0, endpoint: 0, listener: 0, route: 0, secret: 0 });

/** Starts at once and connects again, without backoff to speak of, until closed. */
export function createEnvoy(options: EnvoyOptions): SimulatedEnvoy {
  const { protocol, references } = options;
  const held: Record<TypeName, Map<string, Held>> = {
    cluster: new Map(),
    endpoint: new Map(),
    listener: new Map(),
    route: new Map(),
    secret: new Map(),
  };
  const subscribed: Record<TypeName, Set<string>> = {
    cluster: new Set(),
    endpoint: new Set(),
    listener: new Set(),
    route: new Set(),
    secret: new Set(),
  };
  /** SOTW: last accepted version and last nonce, by type. */
  const versions: Partial<Record<TypeName, string>> = {};
  const nonces: Partial<Record<TypeName, string>> = {};
  /** Names answered on the present stream, with or without a resource. */
  const answered = new Set<string>();
  const markers = new Map<string, number>();
  const counts: Counts = { responses: zero(), resources: zero(), bytes: 0, requests: 0 };
  let session: ClientHttp2Session | undefined;
  let stream: ClientHttp2Stream | undefined;
  let started = new Set<TypeName>();
  let introduced = false;
  let closed = false;
  let connected = false;
  let reconnects = -1;
  let lastError = '';
  let configuredAt = 0;
  let leafAt = 0;
  let endpointAt = 0;
  let serial = '';

  function dial(): void {
    if (closed) return;
    reconnects++;
    started = new Set();
    introduced = false;
    configuredAt = 0;
    answered.clear();
    const mine = connect(options.url, {
      rejectUnauthorized: false,
      settings: { initialWindowSize: WINDOW, enablePush: false },
    });
    session = mine;
    let gone = false;
    const again = (reason: string): void => {
      if (gone) return;
      gone = true;
      connected = false;
      lastError = reason;
      mine.destroy();
      if (!closed) setTimeout(dial, RETRY_MS);
    };
    mine.on('error', (error) => again(error.message));
    mine.on('close', () => again('connection closed'));
    mine.on('goaway', () => again('goaway'));
    mine.once('connect', () => {
      // Refused at once: it is gone already.
      if (!mine.destroyed) mine.setLocalWindowSize(WINDOW);
    });
    const call = mine.request({
      ':method': 'POST',
      ':path': `${ADS}/${protocol === 'delta' ? 'DeltaAggregatedResources' : 'StreamAggregatedResources'}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(options.authorization ? { authorization: options.authorization } : {}),
    });
    stream = call;
    const deframe = createDeframer((message) => receive(readResponse(protocol, message)));
    call.on('data', (chunk: Buffer) => {
      counts.bytes += chunk.length;
      deframe(chunk);
    });
    call.on('response', (headers) => {
      if (headers['grpc-status']) again(`grpc status ${headers['grpc-status']}: ${headers['grpc-message']}`);
      else connected = true;
    });
    call.on('trailers', (trailers) => again(`grpc status ${trailers['grpc-status']}: ${trailers['grpc-message']}`));
    call.on('error', (error) => again(error.message));
    call.on('close', () => again('stream closed'));
    begin('cluster');
    if (reconnects > 0)
      for (const type of TYPE_NAMES)
        if (subscribed[type].size > 0 || (type === 'listener' && held.listener.size > 0)) begin(type);
  }

  function send(request: OutgoingRequest): void {
    if (!stream || stream.destroyed) return;
    counts.requests++;
    const node = introduced && !options.alwaysNode ? undefined : options.node;
    const extensions = !introduced;
    introduced = true;
    stream.write(frame(encodeRequest(protocol, { ...request, node, extensions })));
  }

  /** First request for a type on a stream: with what is held from an earlier one. */
  function begin(type: TypeName): void {
    if (started.has(type)) return;
    started.add(type);
    const names = [...subscribed[type]];
    delete nonces[type];
    if (protocol === 'sotw') send({ type, names, version: versions[type] ?? '' });
    else
      send({
        type,
        subscribe: names,
        initialVersions: Object.fromEntries([...held[type]].map(([name, { version }]) => [name, version])),
      });
  }

  function receive(response: Received): void {
    const { type } = response;
    if (!type) return;
    counts.responses[type]++;
    counts.resources[type] += response.resources.length;
    nonces[type] = response.nonce;
    versions[type] = response.version;
    const fresh: References[] = [];
    for (const { name, version, value } of response.resources) {
      const refs = references(type, name, value);
      fresh.push(refs);
      held[type].set(name, { version, references: refs, secret: type === 'secret' ? readSecret(value) : undefined });
      answered.add(`${type} ${name}`);
    }
    for (const name of response.removed) {
      held[type].delete(name);
      answered.add(`${type} ${name}`);
    }
    if (protocol === 'sotw' && (type === 'cluster' || type === 'listener')) {
      const names = new Set(response.resources.map(({ name }) => name));
      for (const name of held[type].keys()) if (!names.has(name)) held[type].delete(name);
    }
    send({ type, nonce: response.nonce, names: [...subscribed[type]], version: response.version });
    const now = monotonicMs();
    for (const refs of fresh) for (const marker of refs.markers) if (!markers.has(marker)) markers.set(marker, now);
    if (type === 'endpoint') endpointAt = now;
    if (type === 'secret') checkLeaf(now);
    follow();
    if (configuredAt === 0 && isConfigured()) configuredAt = now;
  }

  function checkLeaf(now: number): void {
    let leaf: SecretContent | undefined;
    let trusted = '';
    for (const { secret } of held.secret.values()) {
      if (secret?.chain) leaf = secret;
      if (secret?.trusted) trusted += `${secret.trusted}\n`;
    }
    if (!leaf || trusted === '') return;
    const found = verifiedSerial(leaf, trusted);
    if (found === undefined || found === serial) return;
    serial = found;
    leafAt = now;
  }

  /** Subscribes to what the held configuration refers to, in Envoy's order. */
  function follow(): void {
    const clusters = [...held.cluster.values()].map((each) => each.references);
    const listeners = [...held.listener.values()].map((each) => each.references);
    want(
      'endpoint',
      clusters.flatMap((refs) => refs.endpoints),
    );
    want(
      'secret',
      [...clusters, ...listeners].flatMap((refs) => refs.secrets),
    );
    if (
      !clusters.every((refs) =>
        refs.endpoints.every((name) => answered.has(`endpoint ${name}`) || held.endpoint.has(name)),
      )
    )
      return;
    begin('listener');
    want(
      'route',
      listeners.flatMap((refs) => refs.routes),
    );
  }

  function want(type: TypeName, names: readonly string[]): void {
    const wanted = new Set(names);
    const added = [...wanted].filter((name) => !subscribed[type].has(name));
    const dropped = [...subscribed[type]].filter((name) => !wanted.has(name));
    if (added.length === 0 && dropped.length === 0) return;
    subscribed[type] = wanted;
    for (const name of dropped) held[type].delete(name);
    if (!started.has(type)) begin(type);
    else if (protocol === 'sotw')
      send({ type, names: [...wanted], nonce: nonces[type] ?? '', version: versions[type] ?? '' });
    else send({ type, subscribe: added, unsubscribe: dropped });
  }

  function isConfigured(): boolean {
    if (held.cluster.size === 0 || held.listener.size === 0) return false;
    const complete = (type: TypeName) =>
      [...subscribed[type]].every((name) => held[type].has(name) || answered.has(`${type} ${name}`));
    return complete('endpoint') && complete('route') && complete('secret');
  }

  dial();
  return {
    name: options.node.id,
    counts,
    markers,
    get configuredAt() {
      return configuredAt;
    },
    get leafAt() {
      return leafAt;
    },
    get endpointAt() {
      return endpointAt;
    },
    get serial() {
      return serial;
    },
    get connected() {
      return connected;
    },
    get reconnects() {
      return Math.max(0, reconnects);
    },
    get lastError() {
      return lastError;
    },
    reset() {
      Object.assign(counts.responses, zero());
      Object.assign(counts.resources, zero());
      counts.bytes = 0;
      counts.requests = 0;
    },
    close() {
      closed = true;
      session?.destroy();
    },
  };
}
