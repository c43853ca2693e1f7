import type { BackendState } from '../identity/identity.ts';
import type { ResourceSet } from '../xds-server/xds.ts';

/** What the inspect routes need to know of running proxies; `push/` has it. */
export interface InspectSource {
  /** The CA backends of a mesh in the order of the Mesh; empty when mTLS is off. */
  backends(mesh: string): readonly BackendState[];
  /** PEM of all that the proxies of a mesh trust; `undefined` when mTLS is off, or nothing is known yet. */
  bundlePem(mesh: string): string | undefined;
  /**
   * Configuration of a Dataplane as it would be generated now, secrets left out (their names are in the clusters and listeners).
   * Works for proxies that are not connected. `undefined`: no such Dataplane. Throws when generation fails: the message is for the user.
   */
  config(mesh: string, dataplane: string, options: { shadow: boolean }): Promise<ResourceSet | undefined>;
  /**
   * Live answer of the proxy's Envoy admin API, reached over the control plane's own mTLS.
   * `path` is `/config_dump?...`, `/stats...`, `/clusters...`. Throws when the proxy can't be reached.
   */
  admin(mesh: string, dataplane: string, path: string): Promise<{ status: number; contentType: string; body: Buffer }>;
}
