import { fetchCertificate } from '../api/certificates.ts';
import { type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { dateText } from '../output/cells.ts';
import { print } from '../output/print.ts';

/** `weft certs history PROXY`: newest first. */
export async function run(invocation: Invocation): Promise<void> {
  const client = await openClient(invocation);
  const [proxy = ''] = invocation.args;
  const mesh = meshOf(invocation);
  const { history } = await fetchCertificate(client, mesh, proxy);
  await print(invocation, { mesh, name: proxy, history }, () => ({
    headers: ['NUMBER', 'ISSUED', 'REASON', 'BACKEND', 'EXPIRES', 'SERIAL', 'ISSUER'],
    rows: history.map(({ generation, issuedAt, reason, backend, notAfter, serial, issuer }) => [
      String(generation),
      dateText(issuedAt),
      reason || '-',
      backend,
      dateText(notAfter),
      serial,
      issuer || '-',
    ]),
  }));
}
