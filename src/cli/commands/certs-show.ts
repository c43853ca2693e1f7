import { type CertificateDetailJson, fetchCertificate } from '../api/certificates.ts';
import { flagOption, type Invocation, meshOf } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError } from '../errors.ts';
import { dateText, leftText } from '../output/cells.ts';
import { printText } from '../output/print.ts';

/** `weft certs show PROXY`: a few lines for people, everything with `-o json`, the chain alone with `--pem`. */
export async function run(invocation: Invocation): Promise<void> {
  const client = await openClient(invocation);
  const [proxy = ''] = invocation.args;
  const mesh = meshOf(invocation);
  const certificate = await fetchCertificate(client, mesh, proxy);
  if (!flagOption(invocation, 'pem')) return printText(invocation, certificateText(certificate), certificate);
  if (certificate.chainPem === undefined) {
    throw new CliError(
      'not-found',
      `the certificate of ${proxy} in mesh ${mesh} is not at hand (${certificate.state})`,
      {
        next: `see why with \`weft certs show ${proxy} --mesh ${mesh}\``,
      },
    );
  }
  invocation.io.stdout(certificate.chainPem);
}

const KEYS = { proxy: 'beside the proxy', 'control-plane': 'made by the control plane' };

/** As short as it can be: a line for each thing that people ask for. Ends with a newline. */
export function certificateText(certificate: CertificateDetailJson): string {
  const { name, mesh, state, serial, spiffeIds, backend, issuer, anchorFingerprint, failure, generation } = certificate;
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['Proxy', `${name}, mesh ${mesh}`],
    ['State', state],
    ['SPIFFE ID', spiffeIds.join(', ') || undefined],
    ['Serial', serial],
    ['Private key', certificate.keys && KEYS[certificate.keys]],
    ['Backend', backend],
    ['Issuer', issuer],
    ['Trust anchor', anchorFingerprint === undefined ? undefined : `SHA-256 ${anchorFingerprint}`],
    ['Valid', validityText(certificate)],
    ['Renewal', certificate.renewAt === undefined ? undefined : dateText(certificate.renewAt)],
    ['Number', generation === undefined ? undefined : `${generation}, see \`weft certs history ${name}\``],
    ['Failure', failure?.reason],
    [
      'Tried',
      failure && failure.attempts > 0
        ? `${failure.attempts} times since ${dateText(failure.since)}, again at ${dateText(failure.nextAttemptAt)}`
        : undefined,
    ],
  ];
  return lines.map(([label, text]) => (text === undefined ? '' : `${`${label}:`.padEnd(14)}${text}\n`)).join('');
}

function validityText({
  notBefore,
  notAfter,
  secondsLeft = 0,
  lifeUsed = 0,
}: CertificateDetailJson): string | undefined {
  if (notAfter === undefined) return undefined;
  const left = secondsLeft <= 0 ? `ended ${leftText(-secondsLeft)} ago` : `${leftText(secondsLeft)} left`;
  return `${dateText(notBefore)} to ${dateText(notAfter)} UTC (${left}, ${Math.round(lifeUsed * 100)}% used)`;
}
