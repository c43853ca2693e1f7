import type { CertificateDetailJson } from '../../rest/certificate-json.ts';
import { fetchJson } from './answers.ts';
import type { ApiClient } from './client.ts';

export type { CertificateDetailJson, CertificateJson } from '../../rest/certificate-json.ts';

/** The certificate of one proxy. Throws `not-found` for a Dataplane that is not there. */
export async function fetchCertificate(client: ApiClient, mesh: string, proxy: string): Promise<CertificateDetailJson> {
  const path = ['meshes', mesh, 'dataplanes', proxy, '_certificate'];
  const doing = `get the certificate of ${proxy} in mesh ${mesh}`;
  // The API of the same program: its description is the type.
  return (await fetchJson(client, { method: 'GET', path, doing })) as unknown as CertificateDetailJson;
}
