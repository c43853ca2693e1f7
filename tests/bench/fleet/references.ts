/**
 * What a resource refers to: the names that Envoy would subscribe to next.
 * Field numbers: envoy/config/cluster/v3/cluster.proto, listener/v3/listener.proto, listener_components.proto,
 * extensions/filters/network/http_connection_manager/v3, extensions/transport_sockets/tls/v3.
 */
import { hash } from 'node:crypto';
import { fieldsOf, type TypeName, textOf, valuesAt } from './messages.ts';

export interface References {
  readonly endpoints: readonly string[];
  readonly routes: readonly string[];
  readonly secrets: readonly string[];
  /** `marker-...` words found inside: put there by a benchmark through a policy. */
  readonly markers: readonly string[];
}

const NOTHING: References = { endpoints: [], routes: [], secrets: [], markers: [] };
const MAX_KNOWN = 50_000;

/** References by content, shared by all clients of the process: most resources are the same for many. */
export function createReferenceReader(): (type: TypeName, name: string, value: Uint8Array) => References {
  const known = new Map<string, References>();
  return (type, name, value) => {
    if (type === 'endpoint' || type === 'secret') return NOTHING;
    const key = hash('md5', value, 'base64');
    let found = known.get(key);
    if (!found) {
      if (known.size >= MAX_KNOWN) known.clear();
      found = read(type, name, value);
      known.set(key, found);
    }
    return found;
  };
}

function read(type: TypeName, name: string, value: Uint8Array): References {
  const markers = markersIn(value);
  if (type === 'cluster') {
    const fields = fieldsOf(value);
    const eds = fields.get(3)?.[0];
    const endpoints = eds ? [textOf(fieldsOf(eds).get(2)?.[0]) || name] : [];
    const contexts = [...valuesAt(value, [24, 3, 2]), ...valuesAt(value, [43, 3, 3, 2])];
    return { endpoints, routes: [], secrets: contexts.flatMap(secretsOf), markers };
  }
  if (type === 'listener') {
    const chains = [...valuesAt(value, [3]), ...valuesAt(value, [25])];
    const routes = chains
      .flatMap((chain) => valuesAt(chain, [3, 4]))
      .filter(isHttpConnectionManager)
      .flatMap((any) => valuesAt(any, [2, 3, 2]).map(textOf));
    const secrets = chains.flatMap((chain) => valuesAt(chain, [6, 3, 2])).flatMap(secretsOf);
    return { endpoints: [], routes: [...new Set(routes)], secrets: [...new Set(secrets)], markers };
  }
  return { ...NOTHING, markers };
}

function isHttpConnectionManager(any: Uint8Array): boolean {
  return textOf(fieldsOf(any).get(1)?.[0]).endsWith('HttpConnectionManager');
}

/** SDS names in an Upstream- or DownstreamTlsContext. */
function secretsOf(tlsContext: Uint8Array): string[] {
  return [
    [1, 6, 1],
    [1, 7, 1],
    [1, 8, 2, 1],
  ].flatMap((path) => valuesAt(tlsContext, path).map(textOf));
}

function markersIn(value: Uint8Array): string[] {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (text.indexOf('marker-') < 0) return [];
  return [...new Set(text.toString('latin1').match(/marker-[a-z0-9]+/g) ?? [])];
}
