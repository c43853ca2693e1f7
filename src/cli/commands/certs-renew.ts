import { waitFor } from '../../lib/wait.ts';
import { asNumber, asText, fetchJson } from '../api/answers.ts';
import { fetchCertificate } from '../api/certificates.ts';
import type { ApiClient } from '../api/client.ts';
import { durationOption, flagOption, type Invocation, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { leftText } from '../output/cells.ts';
import { printText } from '../output/print.ts';

const LOOK_EVERY_MS = 250;

/** `weft certs renew [PROXY]`. */
export async function run(invocation: Invocation): Promise<void> {
  const [proxy] = invocation.args;
  const service = textOption(invocation, 'service');
  const all = flagOption(invocation, 'all');
  const backend = textOption(invocation, 'backend');
  const waitMs = durationOption(invocation, 'wait', 'wait');
  if ([proxy !== undefined, service !== undefined, all].filter(Boolean).length !== 1) {
    throw usageError('certs renew: exactly one of a proxy, --service and --all is needed');
  }
  if (waitMs !== undefined && proxy === undefined) {
    throw usageError('--wait is there for one proxy', 'see how far it is with `weft certs list -o wide`');
  }
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const what = proxy ?? (service === undefined ? `mesh ${mesh}` : `service ${service}`);
  const answer = await fetchJson(client, {
    method: 'POST',
    path: ['meshes', mesh, '_certificates', '_renew'],
    body: { proxy, service, ...(all ? { all } : {}), backend },
    doing: `renew certificates of ${what}`,
  });
  if (waitMs !== undefined) {
    await waitUntilRenewed(invocation, client, { mesh, proxy: proxy!, waitMs, since: asText(answer['requestedAt']) });
  }
  const count = asNumber(answer['count']);
  const estimate = leftText(asNumber(answer['estimateSeconds']));
  const text =
    waitMs === undefined
      ? `${count} ${count === 1 ? 'certificate is' : 'certificates are'} renewed within about ${estimate}\n`
      : `the certificate of ${proxy} is renewed\n`;
  await printText(invocation, text, answer);
}

interface Waiting {
  readonly mesh: string;
  readonly proxy: string;
  readonly waitMs: number;
  /** RFC 3339. */
  readonly since: string;
}

async function waitUntilRenewed({ io }: Invocation, client: ApiClient, waiting: Waiting): Promise<void> {
  const { mesh, proxy, waitMs, since } = waiting;
  const giveUpAt = performance.now() + waitMs;
  for (;;) {
    const { issuedAt = '', failure } = await fetchCertificate(client, mesh, proxy);
    if (Date.parse(issuedAt) >= Date.parse(since)) return;
    if (performance.now() >= giveUpAt || io.signal.aborted) {
      const reason = failure === undefined ? 'nobody has connected with it to a control plane' : failure.reason;
      throw new CliError('server', `renew the certificate of ${proxy}: not within the time given: ${reason}`, {
        next: `the request stands; see \`weft certs show ${proxy} --mesh ${mesh}\``,
      });
    }
    await waitFor(LOOK_EVERY_MS, io.signal);
  }
}
