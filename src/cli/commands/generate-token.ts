import { readFile } from 'node:fs/promises';
import type { TokenRequest } from '../../control-plane/offline.ts';
import { fetchText } from '../api/answers.ts';
import { durationOption, type Invocation, listOption, mapOption, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { formatOf, printText } from '../output/print.ts';

/** `weft generate dataplane-token`. */
export async function generateDataplaneToken(invocation: Invocation): Promise<void> {
  const name = textOption(invocation, 'name');
  const type = textOption(invocation, 'proxyType') ?? textOption(invocation, 'type');
  const workload = textOption(invocation, 'workload');
  const tags = Object.entries(mapOption(invocation, 'tag')).map(([tag, values]) => [tag, values.split(',')] as const);
  const mesh = meshOf(invocation);
  await generate(invocation, {
    kind: 'dataplane',
    claims: {
      mesh,
      ...(name === undefined ? {} : { name }),
      ...(workload === undefined ? {} : { workload }),
      ...(tags.length === 0 ? {} : { tags: new Map(tags) }),
      // commander let only these three through.
      ...(type === undefined ? {} : { type: type as 'dataplane' | 'ingress' | 'egress' }),
    },
  });
}

/** `weft generate zone-token`. */
export async function generateZoneToken(invocation: Invocation): Promise<void> {
  const given = listOption(invocation, 'scope');
  const unknown = given.find((scope) => !['ingress', 'egress', 'cp'].includes(scope));
  if (unknown !== undefined) throw usageError(`--scope: "${unknown}" is not a scope`, 'use ingress, egress or cp');
  const zone = textOption(invocation, 'zone');
  const scope = given.length === 0 ? ['ingress', 'egress'] : given;
  await generate(invocation, { kind: 'zone', claims: { scope, ...(zone === undefined ? {} : { zone }) } });
}

/** `weft generate user-token`. */
export async function generateUserToken(invocation: Invocation): Promise<void> {
  const claims = { name: textOption(invocation, 'name')!, groups: listOption(invocation, 'group') };
  await generate(invocation, { kind: 'user', claims });
}

async function generate(invocation: Invocation, request: TokenRequest): Promise<void> {
  const validForMs = durationOption(invocation, 'validFor', 'valid-for')!;
  if (validForMs === 0) throw usageError('--valid-for: must be longer than 0', 'give it as 24h');
  const keyPath = textOption(invocation, 'signingKeyPath');
  const kid = textOption(invocation, 'kid');
  if ((keyPath === undefined) !== (kid === undefined)) {
    throw usageError('--signing-key-path and --kid belong together', 'give both, or none to ask the control plane');
  }
  const token =
    keyPath === undefined
      ? await fetchToken(invocation, request)
      : await signOffline(invocation, request, keyPath, kid!, validForMs);
  const end = invocation.io.terminal && formatOf(invocation) === 'table' ? '\n' : '';
  await printText(invocation, token + end, { token });
}

async function fetchToken(invocation: Invocation, request: TokenRequest): Promise<string> {
  const client = await openClient(invocation);
  const tags =
    request.kind === 'dataplane' && request.claims.tags !== undefined
      ? { tags: Object.fromEntries(request.claims.tags) }
      : {};
  return fetchText(client, {
    method: 'POST',
    path: ['tokens', request.kind],
    body: { ...request.claims, ...tags, validFor: textOption(invocation, 'validFor') },
    doing: `generate ${request.kind} token`,
  });
}

async function signOffline(
  invocation: Invocation,
  request: TokenRequest,
  path: string,
  kid: string,
  validForMs: number,
): Promise<string> {
  const { isKeyId, signToken } = await import('../../control-plane/offline.ts');
  if (!isKeyId(kid))
    throw usageError(`--kid: "${kid}" is not a key id`, 'give the number at the end of the signing key secret');
  const signingKey = await readKey(path);
  return signToken(request, { kid, signingKey }, validForMs, invocation.io.now);
}

/** Bytes of a key file. Throws `input`. */
export async function readKey(path: string): Promise<Buffer> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError('input', `read signing key ${path}: ${error.code}`, { next: 'check the path', cause: error });
  });
}
