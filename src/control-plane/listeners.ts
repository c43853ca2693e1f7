import type { SecureContextOptions } from 'node:tls';
import type { RestServerOptions } from '../rest/server.ts';
import type { ControlPlaneConfig } from './config.ts';
import { loadServerCertificate, minVersionOf, pemContext, type ServerCertificate } from './server-certificate.ts';

/** Where the diagnostics server listens. Throws with the file's name when its certificate can't be read. */
export async function diagnosticsListener({
  weft,
  diagnostics,
}: ControlPlaneConfig): Promise<{ host: string; port: number; tls?: SecureContextOptions }> {
  const listener = { host: weft.interfaces.diagnostics, port: diagnostics.serverPort };
  if (!diagnostics.tlsEnabled) return listener;
  const certificate = await loadServerCertificate(diagnostics.tlsCertFile, diagnostics.tlsKeyFile);
  return { ...listener, tls: { ...pemContext(certificate), minVersion: minVersionOf(diagnostics) } };
}

/** Where and how the API listens: the settings `apiServer.*`. `certificate` is for HTTPS. */
export function apiListeners(
  { apiServer }: ControlPlaneConfig,
  certificate: ServerCertificate,
): Omit<RestServerOptions, 'routes' | 'users' | 'access' | 'log' | 'metrics'> {
  const { http, https } = apiServer;
  const tls = { ...pemContext(certificate), minVersion: minVersionOf(https) };
  return {
    ...(http.enabled ? { http: { host: http.interface, port: http.port } } : {}),
    ...(https.enabled ? { https: { host: https.interface, port: https.port, tls } } : {}),
    basePath: apiServer.basePath,
    rootUrl: apiServer.rootUrl,
    corsAllowedDomains: apiServer.corsAllowedDomains,
    readHeaderTimeoutMs: apiServer.readHeaderTimeout,
    readTimeoutMs: apiServer.readTimeout,
    idleTimeoutMs: apiServer.idleTimeout,
  };
}
