import { http } from './node.ts';

/** Envoy's admin API: a unix socket path, or `host:port`. It is what Envoy writes to `--admin-address-path`. */
export type AdminAddress = string;

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

/** One call of Envoy's admin API. Rejects when Envoy does not answer within `timeoutMs`. */
export function callAdmin(
  address: AdminAddress,
  method: 'GET' | 'POST',
  path: string,
  timeoutMs = 5000,
): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const call = http.request({ ...target(address), method, path, agent: false, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
      response.once('error', reject);
    });
    call.once('timeout', () => call.destroy(new Error(`Envoy's admin API did not answer within ${timeoutMs} ms`)));
    call.once('error', reject);
    call.end();
  });
}

function target(address: AdminAddress): { socketPath: string } | { host: string; port: number } {
  if (address.startsWith('/')) return { socketPath: address };
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}
