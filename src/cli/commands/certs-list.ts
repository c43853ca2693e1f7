import { parseThreshold } from '../../lib/expiry-threshold.ts';
import type { CertificateJson } from '../api/certificates.ts';
import { fetchList } from '../api/lists.ts';
import { type Invocation, listOption, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { agoText, dateText, leftText } from '../output/cells.ts';
import { isWide, print } from '../output/print.ts';
import { listData, pageFooter } from './get.ts';

/** `weft certs list`. Exit code 1 when `--expires-in` finds any. */
export async function run(invocation: Invocation): Promise<void> {
  const expiresIn = textOption(invocation, 'expiresIn');
  if (expiresIn !== undefined && parseThreshold(expiresIn) === undefined) {
    throw usageError(`--expires-in: "${expiresIn}" is neither a share nor a duration`, 'give it as 20% or 2h');
  }
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const states = listOption(invocation, 'state');
  const size = textOption(invocation, 'size');
  const offset = textOption(invocation, 'offset');
  const list = await fetchList(
    client,
    {
      path: ['meshes', mesh, '_certificates'],
      query: {
        state: states.length > 0 ? states.join(',') : undefined,
        service: textOption(invocation, 'service'),
        backend: textOption(invocation, 'backend'),
        name: textOption(invocation, 'name'),
        expiresIn,
      },
      doing: `list certificates of mesh ${mesh}`,
      ...(size === undefined ? {} : { size }),
      ...(offset === undefined ? {} : { offset }),
    },
    invocation.io,
  );
  const certificates = list.items as readonly unknown[] as readonly CertificateJson[];
  const wide = isWide(invocation);
  const now = invocation.io.now();
  await print(invocation, listData(list), () => ({
    headers: wide ? [...HEADERS, ...WIDE_HEADERS, LAST_HEADER] : [...HEADERS, LAST_HEADER],
    rows: certificates.map((one) => [...row(one), ...(wide ? wideRow(one, now) : []), problem(one, wide)]),
    ...pageFooter(list),
  }));
  if (expiresIn !== undefined && list.total > 0) {
    const what = list.total === 1 ? 'certificate has' : 'certificates have';
    throw new CliError('server', `certs list: ${list.total} ${what} no more than ${expiresIn} left`);
  }
}

const HEADERS = ['PROXY', 'SERVICE', 'STATE', 'BACKEND', 'EXPIRES', 'LEFT'];
const WIDE_HEADERS = ['SERIAL', 'ISSUER', 'RENEWAL', 'NUMBER', 'ISSUED'];
const LAST_HEADER = 'PROBLEM';
/** A reason that is longer is shown whole by `-o wide` and `certs show`. */
const LONGEST_PROBLEM = 80;

function row(one: CertificateJson): readonly string[] {
  const { name, services, state, backend = '-', notAfter, secondsLeft } = one;
  return [name, services.join(',') || '-', state, backend, dateText(notAfter), leftText(secondsLeft)];
}

function wideRow({ serial = '-', issuer, renewAt, generation = 0, issuedAt }: CertificateJson, now: number) {
  return [
    serial,
    issuer || '-',
    dateText(renewAt),
    String(generation),
    issuedAt === undefined ? '-' : agoText(issuedAt, now),
  ];
}

function problem({ failure }: CertificateJson, wide: boolean): string {
  const reason = failure?.reason ?? '';
  return wide || reason.length <= LONGEST_PROBLEM ? reason : `${reason.slice(0, LONGEST_PROBLEM)}…`;
}
