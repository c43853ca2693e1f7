import { request } from 'node:http';
import { DemoError } from './error.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** One HTTP request without retries; rejects when there is no answer within 10 s. */
export function callHttp(url: string, method: string, body?: unknown): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { method, agent: false, timeout: 10_000, headers: { 'content-type': 'application/json' } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
        response.once('error', reject);
      },
    );
    call.once('timeout', () => call.destroy(new Error('no answer within 10 s')));
    call.once('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The control plane's REST API, as far as the demo needs it. Answers other than 2xx are `refused`. */
export interface DemoApi {
  readonly url: string;
  put(path: string, resource: unknown): Promise<void>;
  get(path: string): Promise<unknown>;
  /** Answer as text. */
  post(path: string, body: unknown): Promise<string>;
}

export function createDemoApi(url: string): DemoApi {
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await callHttp(url + path, method, body);
    if (answer.status >= 300)
      throw new DemoError('refused', `${method} ${path}: ${answer.status} ${answer.body.trim()}`);
    return answer.body;
  };
  return {
    url,
    put: async (path, resource) => void (await call('PUT', path, resource)),
    get: async (path) => JSON.parse(await call('GET', path)) as unknown,
    post: (path, body) => call('POST', path, body),
  };
}
