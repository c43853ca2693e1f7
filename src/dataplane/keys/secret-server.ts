/**
 * SDS for the one Envoy of this launcher, on a unix socket that only its user can open. Envoy asks over HTTP/1.1 with JSON (`api_type: REST`) and waits
 * until there is something new, so that this costs neither HTTP/2 nor protobuf nor a timer. Source: Envoy xDS protocol, "REST-JSON polling subscriptions".
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fs, http } from '../node.ts';
import { keyPem } from './own-key.ts';
import type { ServedLeaf } from './served-leaf.ts';

export interface SecretServer extends AsyncDisposable {
  /** Envoy is given this from now on. */
  serve(leaf: ServedLeaf): void;
  /** A new Envoy knows nothing of what the former one was given. */
  envoyStarted(): void;
  close(): Promise<void>;
}

const TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const PATH = '/v3/discovery:secrets';
/** Envoy's node is some hundred kilobytes. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

interface Poll {
  /** Serial of what Envoy has, '' for nothing. */
  readonly version: string;
  readonly names: readonly string[];
  readonly response: ServerResponse;
}

/** Listens; rejects with the system's error. `said`: Envoy took this leaf, or did not. */
export async function createSecretServer(options: {
  socketPath: string;
  said: (leaf: ServedLeaf, accepted: boolean) => void;
}): Promise<SecretServer> {
  let leaf: ServedLeaf | undefined;
  let accepted: ServedLeaf | undefined;
  /** Given to Envoy, which has not said anything to it yet. */
  let given: ServedLeaf | undefined;
  let refused: ServedLeaf | undefined;
  const waiting = new Set<Poll>();

  function take(poll: Poll): void {
    if (given !== undefined) {
      const about = given;
      given = undefined;
      if (poll.version === about.serial) accepted = about;
      else refused = about;
      options.said(about, poll.version === about.serial);
    }
    if (leaf !== undefined && poll.version !== leaf.serial && leaf !== refused) answer(poll, leaf);
    else waiting.add(poll);
  }

  function answer({ names, response }: Poll, what: ServedLeaf): void {
    if (what !== accepted) given = what;
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        version_info: what.serial,
        type_url: TYPE,
        resources: names.map((name) => ({
          '@type': TYPE,
          name,
          tls_certificate: {
            certificate_chain: { inline_string: what.chainPem },
            private_key: { inline_string: keyPem(what.key) },
          },
        })),
      }),
    );
  }

  const server = http.createServer(async (request, response) => {
    const body = request.method === 'POST' && request.url === PATH ? await readPoll(request) : undefined;
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const poll = { ...body, response };
    response.once('close', () => waiting.delete(poll));
    take(poll);
  });
  fs.rmSync(options.socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.socketPath, () => {
      server.off('error', reject);
      resolve();
    });
  });
  fs.chmodSync(options.socketPath, 0o600);

  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    serve(next) {
      leaf = next;
      for (const poll of waiting) {
        waiting.delete(poll);
        take(poll);
      }
    },
    envoyStarted() {
      given = undefined;
      refused = undefined;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `undefined` when it is no request for an identity. */
async function readPoll(request: IncomingMessage): Promise<Omit<Poll, 'response'> | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_REQUEST_BYTES) return undefined;
      chunks.push(chunk);
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      version_info?: string;
      resource_names?: string[];
    };
    const names = (body.resource_names ?? []).filter((name) => name.startsWith('identity_cert:'));
    return names.length === 0 ? undefined : { version: body.version_info ?? '', names };
  } catch {
    return undefined;
  }
}
