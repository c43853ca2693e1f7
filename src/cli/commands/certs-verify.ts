import { readFile } from 'node:fs/promises';
import { X509Error } from '../../x509/error.ts';
import { inspectPresented, type PresentedCheck } from '../../x509/presented.ts';
import { asText, fetchJson } from '../api/answers.ts';
import { fetchCertificate } from '../api/certificates.ts';
import type { ApiClient } from '../api/client.ts';
import { type Invocation, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { printText } from '../output/print.ts';

/** `weft certs verify [PROXY]`. Exit code 1 when a check is not good. */
export async function run(invocation: Invocation): Promise<void> {
  const [proxy] = invocation.args;
  const file = textOption(invocation, 'file');
  if ((proxy === undefined) === (file === undefined)) {
    throw usageError('certs verify: a proxy or --file is needed, and not both');
  }
  const mesh = meshOf(invocation);
  const client = await openClient(invocation);
  const what = proxy ?? file!;
  const presented = proxy === undefined ? { chainPem: await read(file!) } : await chainOf(client, mesh, proxy);
  const bundlePem = await bundleOf(invocation, client, mesh);
  const checks = await inspect(what, () =>
    inspectPresented(presented.chainPem, { ...presented, bundlePem, trustDomain: mesh, now: invocation.io.now() }),
  );
  const bad = checks.filter(({ ok }) => !ok);
  await printText(invocation, checks.map(lineOf).join(''), { mesh, subject: what, ok: bad.length === 0, checks });
  if (bad.length > 0) {
    throw new CliError(
      'server',
      `verify the certificate of ${what}: ${bad.map(({ name }) => name).join(', ')} not good`,
      {
        next: proxy === undefined ? 'see above' : `renew it with \`weft certs renew ${proxy} --mesh ${mesh}\``,
      },
    );
  }
}

const lineOf = ({ name, ok, message }: PresentedCheck) => `${ok ? '✓' : '✗'} ${name}: ${message}\n`;

async function chainOf(client: ApiClient, mesh: string, proxy: string) {
  const { chainPem, expectedUriSans, state } = await fetchCertificate(client, mesh, proxy);
  if (chainPem !== undefined) return { chainPem, uriSans: expectedUriSans };
  throw new CliError('not-found', `the certificate of ${proxy} in mesh ${mesh} is not at hand (${state})`, {
    next: `see why with \`weft certs show ${proxy} --mesh ${mesh}\``,
  });
}

async function bundleOf(invocation: Invocation, client: ApiClient, mesh: string): Promise<string> {
  const caFile = textOption(invocation, 'caFile');
  if (caFile !== undefined) return read(caFile);
  const path = ['meshes', mesh, '_mtls'];
  const state = await fetchJson(client, { method: 'GET', path, doing: `ask what mesh ${mesh} trusts` });
  const bundle = asText(state['bundlePem']);
  if (bundle !== '') return bundle;
  throw new CliError('not-found', `mesh ${mesh} trusts nothing: mTLS is off, or no CA has answered yet`, {
    next: `see \`weft inspect mesh ${mesh}\`, or give what is trusted with --ca-file`,
  });
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError('input', `read ${path}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** What can't be read as a certificate is the caller's input. */
async function inspect(
  what: string,
  run: () => Promise<readonly PresentedCheck[]>,
): Promise<readonly PresentedCheck[]> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof X509Error) throw new CliError('input', `verify the certificate of ${what}: ${error.message}`);
    throw error;
  }
}
