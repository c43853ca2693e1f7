import { hideSecrets } from '../../lib/hide-secrets.ts';
import { CaError } from '../backend.ts';
import type { EgressClient } from '../egress.ts';
import {
  type Asked,
  type NodeState,
  nodeState,
  refused,
  type Subject,
  unreached,
  unusable,
  VaultRefusal,
} from './problem.ts';

export interface VaultCall {
  readonly method: 'GET' | 'POST';
  /** Under `/v1/`. */
  readonly path: string;
  readonly body?: object;
  /** Absent: the call needs none. */
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** In the body: what Vault, or a proxy before it, repeats of them is left out. The token is anyway. */
  readonly secrets?: readonly string[];
  readonly signal: AbortSignal;
}

/** A 2xx answer. Source: Vault API, "Response fields". */
export interface VaultReply {
  readonly data: Readonly<Record<string, unknown>>;
  readonly auth: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/** Calls to one Vault in one namespace. */
export interface VaultClient {
  /** Throws `VaultRefusal` for an answer that is no 2xx, else `CaError`. */
  call(call: VaultCall): Promise<VaultReply>;
  /** What `call` threw, in words: asks the node how it is when that can explain it. */
  explain(error: unknown, asked: Asked, signal: AbortSignal): Promise<CaError>;
  close(): Promise<void>;
}

export function createVaultClient(subject: Subject, egress: EgressClient): VaultClient {
  async function send({ method, path, body, token, headers, signal }: VaultCall) {
    try {
      return await egress.send({
        method,
        url: `${subject.address}/v1/${path}`,
        headers: {
          accept: 'application/json',
          // What an agent or proxy wants to see before it adds its own token.
          'x-vault-request': 'true',
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token !== undefined && { 'x-vault-token': token }),
          ...(subject.namespace !== '' && { 'x-vault-namespace': subject.namespace }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
    } catch (error) {
      throw error instanceof CaError ? unreached(subject, error) : error;
    }
  }

  async function health(signal: AbortSignal): Promise<NodeState> {
    try {
      const { status } = await send({ method: 'GET', path: 'sys/health', signal });
      return nodeState(status);
    } catch {
      // Then the first answer is all there is.
      return undefined;
    }
  }

  return {
    async call(call) {
      const { status, body } = await send(call);
      const text = body.toString('utf8');
      const hide = (said: string) => hideSecrets(said, [call.token ?? '', ...(call.secrets ?? [])]);
      if (status < 200 || status > 299) throw new VaultRefusal(status, errorsOf(text, hide));
      if (text === '') return { data: {}, auth: {}, warnings: [] };
      const answer = parse(text);
      if (answer === undefined) throw unusable(subject, 'something that is not JSON; is the address that of Vault?');
      return {
        data: struct(answer['data']),
        auth: struct(answer['auth']),
        warnings: texts(answer['warnings']).map(hide),
      };
    },
    async explain(error, asked, signal) {
      if (error instanceof CaError) return error;
      if (!(error instanceof VaultRefusal)) return unusable(subject, 'something that cannot be used', error);
      const { status } = error;
      // A node that is up and active says what is wrong itself.
      const unwell = status >= 500 || (status >= 300 && status < 400);
      return refused(subject, asked, error, unwell ? await health(signal) : undefined);
    },
    close: () => egress.close(),
  };
}

const LONGEST_TEXT = 200;
const MOST_TEXTS = 3;

/** Vault's own `errors`, one line each, cut; nothing else of a body is repeated. */
function errorsOf(text: string, hide: (said: string) => string): readonly string[] {
  return texts(parse(text)?.['errors']).map((error) => {
    const line = hide(error)
      .replace(/^\d+ errors? occurred:/, '')
      .replace(/\s+/g, ' ')
      .replace(/^ ?\* /, '')
      .trim();
    return line.length > LONGEST_TEXT ? `${line.slice(0, LONGEST_TEXT - 3)}...` : line;
  });
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? struct(value) : undefined;
  } catch {
    return undefined;
  }
}

function struct(value: unknown): Readonly<Record<string, unknown>> {
  // Keys of a JSON object are texts.
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function texts(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((one) => typeof one === 'string').slice(0, MOST_TEXTS);
}
