import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import type { ProxyKey } from '../identity/identity.ts';

/** Where a proxy's Envoy admin listener is, and what the control plane shows it. */
export interface EnvoyAdminTarget {
  readonly proxy: ProxyKey;
  readonly address: string;
  readonly port: number;
  /** No TLS, no credentials: Envoy's own admin API answers there (`isAdminApiPlain`). */
  readonly plain: boolean;
}

export interface EnvoyAdminCredentials {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

const TIMEOUT_MS = 5000;
const LARGEST_ANSWER = 256 * 1024 * 1024;

/**
 * Asks a proxy's Envoy admin API through the listener `kuma:envoy:admin`, which lets in only clients of the `envoy-admin-ca`, or without TLS on loopback.
 * The server proves itself by the same CA; its address is not in the certificate, so names are not compared. Throws with the reason and the next step.
 */
export function askEnvoyAdmin(
  target: EnvoyAdminTarget,
  credentials: EnvoyAdminCredentials,
  path: string,
): Promise<{ status: number; contentType: string; body: Buffer }> {
  const what = `ask Envoy of dataplane ${target.proxy.name} in mesh ${target.proxy.mesh} at ${target.address}:${target.port}`;
  return new Promise((resolve, reject) => {
    const common = { host: target.address, port: target.port, path, method: 'GET', timeout: TIMEOUT_MS };
    const call = (target.plain ? requestPlain : requestTls)(
      {
        ...common,
        agent: false,
        ...(!target.plain && {
          ca: credentials.caPem,
          cert: credentials.certPem,
          key: credentials.keyPem,
          checkServerIdentity: () => undefined,
        }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > LARGEST_ANSWER) call.destroy(new Error(`the answer is larger than ${LARGEST_ANSWER} bytes`));
          else chunks.push(chunk);
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 502,
            contentType: response.headers['content-type'] ?? 'text/plain',
            body: Buffer.concat(chunks),
          }),
        );
        response.on('error', (cause) => reject(new Error(`${what}: ${cause.message}`, { cause })));
      },
    );
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (cause) =>
      reject(
        new Error(`${what}: ${cause.message}; is the proxy running and its admin port reachable from here?`, { cause }),
      ),
    );
    call.end();
  });
}
