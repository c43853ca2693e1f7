import { fetchJson } from '../api/answers.ts';
import { flagOption, type Invocation, mapOption, textOption } from '../command.ts';
import {
  type ApiServerCoordinates,
  type ContextsFile,
  checkAddress,
  clientOf,
  contextsPath,
  loadContexts,
  saveContexts,
} from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { formatOf, print, printText, yamlText } from '../output/print.ts';

/** `weft config view`: the file as it is used, tokens masked. */
export async function viewConfig(invocation: Invocation): Promise<void> {
  const file = masked(await loadContexts(invocation));
  await printText(invocation, formatOf(invocation) === 'table' ? await yamlText(file) : '', file);
}

function masked(file: ContextsFile): ContextsFile {
  const secret = (pairs: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.keys(pairs).map((key) => [key, '***']));
  return {
    ...file,
    controlPlanes: file.controlPlanes.map(({ name, coordinates: { apiServer } }) => ({
      name,
      coordinates: {
        apiServer: {
          ...apiServer,
          ...(apiServer.authConf === undefined ? {} : { authConf: secret(apiServer.authConf) }),
          ...(apiServer.headers === undefined
            ? {}
            : { headers: apiServer.headers.map(({ key }) => ({ key, value: '***' })) }),
        },
      },
    })),
  };
}

/** `weft config control-planes list`. */
export async function listControlPlanes(invocation: Invocation): Promise<void> {
  const file = await loadContexts(invocation);
  const planes = file.controlPlanes.map(({ name, coordinates }) => ({
    active: file.contexts.find((one) => one.name === file.currentContext)?.controlPlane === name,
    name,
    address: coordinates.apiServer.url,
  }));
  await print(invocation, planes, () => ({
    headers: ['ACTIVE', 'NAME', 'ADDRESS'],
    rows: planes.map(({ active, name, address }) => [active ? '*' : '', name, address]),
  }));
}

/** `weft config control-planes add`. */
export async function addControlPlane(invocation: Invocation): Promise<void> {
  const name = textOption(invocation, 'name')!;
  const server = coordinatesOf(invocation);
  const file = await loadContexts(invocation);
  const exists = file.controlPlanes.some((one) => one.name === name) || file.contexts.some((one) => one.name === name);
  if (exists && !flagOption(invocation, 'overwrite')) {
    throw new CliError('config', `control plane "${name}" exists already`, { next: 'use --overwrite to replace it' });
  }
  if (!flagOption(invocation, 'skipCheck')) {
    const client = await clientOf(server, invocation);
    await fetchJson(client, { method: 'GET', path: [], doing: `check control plane "${name}"` });
  }
  const next: ContextsFile = {
    controlPlanes: [
      ...file.controlPlanes.filter((one) => one.name !== name),
      { name, coordinates: { apiServer: server } },
    ],
    contexts: [...file.contexts.filter((one) => one.name !== name), { name, controlPlane: name }],
    currentContext: name,
  };
  await save(invocation, next, `added Control Plane "${name}"\nswitched active Control Plane to "${name}"\n`);
}

function coordinatesOf(invocation: Invocation): ApiServerCoordinates {
  const url = textOption(invocation, 'address')!;
  checkAddress(url, '--address');
  const texts = ['caCertFile', 'clientCertFile', 'clientKeyFile', 'authType'] as const;
  const given = texts.flatMap((key) =>
    textOption(invocation, key) === undefined ? [] : [[key, textOption(invocation, key)] as const],
  );
  const server: ApiServerCoordinates = { url, ...Object.fromEntries(given) };
  if ((server.clientCertFile === undefined) !== (server.clientKeyFile === undefined)) {
    throw usageError('--client-cert-file and --client-key-file belong together', 'give both');
  }
  const authConf = mapOption(invocation, 'authConf');
  if (server.authType !== undefined && server.authType !== 'tokens') {
    throw usageError(`--auth-type: "${server.authType}" is not known`, 'use --auth-type=tokens');
  }
  if (server.authType === 'tokens' && !authConf['token']) {
    throw usageError('--auth-conf: token is missing', 'give it as --auth-conf token=<user token>');
  }
  const headers = Object.entries(mapOption(invocation, 'headers')).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...server,
    ...(Object.keys(authConf).length === 0 ? {} : { authConf }),
    ...(headers.length === 0 ? {} : { headers: headers.map(([key, value]) => ({ key, value })) }),
    ...(flagOption(invocation, 'skipVerify') ? { skipVerify: true } : {}),
  };
}

/** `weft config control-planes remove`. */
export async function removeControlPlane(invocation: Invocation): Promise<void> {
  const name = textOption(invocation, 'name')!;
  const file = await loadContexts(invocation);
  requireKnown(file, name);
  const contexts = file.contexts.filter((one) => one.controlPlane !== name);
  const stays = contexts.some((one) => one.name === file.currentContext);
  const currentContext = stays ? file.currentContext : (contexts[0]?.name ?? '');
  const switched = stays ? '' : currentContext === '' ? '' : `switched active Control Plane to "${currentContext}"\n`;
  const controlPlanes = file.controlPlanes.filter((one) => one.name !== name);
  await save(invocation, { controlPlanes, contexts, currentContext }, `removed Control Plane "${name}"\n${switched}`);
}

/** `weft config control-planes switch`. */
export async function switchControlPlane(invocation: Invocation): Promise<void> {
  const name = textOption(invocation, 'name')!;
  const file = await loadContexts(invocation);
  requireKnown(file, name);
  const context = file.contexts.find((one) => one.controlPlane === name) ?? { name, controlPlane: name };
  const contexts = file.contexts.includes(context) ? file.contexts : [...file.contexts, context];
  await save(
    invocation,
    { ...file, contexts, currentContext: context.name },
    `switched active Control Plane to "${name}"\n`,
  );
}

function requireKnown(file: ContextsFile, name: string): void {
  if (file.controlPlanes.some((one) => one.name === name)) return;
  const known = file.controlPlanes.map((one) => one.name).join(', ');
  throw new CliError('config', `there is no Control Plane with name "${name}"`, {
    next: known === '' ? 'none is known' : `known ones: ${known}`,
  });
}

async function save(invocation: Invocation, file: ContextsFile, said: string): Promise<void> {
  if (flagOption(invocation, 'noConfig')) throw usageError('--no-config: there is no file to change', 'leave it out');
  await saveContexts(contextsPath(invocation), file);
  await printText(invocation, said, masked(file));
}
