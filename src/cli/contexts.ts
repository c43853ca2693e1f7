/**
 * Which control plane a command talks to. The file has kumactl's format, so an existing one is used as it is.
 * Source: Kuma 2.11-2.14 `kumactl` configuration.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ApiClient, type ApiTarget, createApiClient } from './api/client.ts';
import { durationOption, flagOption, type Invocation, textOption } from './command.ts';
import { parseContextsData } from './contexts-parse.ts';
import { CliError, usageError } from './errors.ts';

export interface ApiServerCoordinates {
  readonly url: string;
  readonly caCertFile?: string;
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  readonly headers?: readonly { readonly key: string; readonly value: string }[];
  readonly authType?: string;
  readonly authConf?: Readonly<Record<string, string>>;
  readonly skipVerify?: boolean;
}

export interface ContextsFile {
  readonly controlPlanes: readonly {
    readonly name: string;
    readonly coordinates: { readonly apiServer: ApiServerCoordinates };
  }[];
  readonly contexts: readonly {
    readonly name: string;
    readonly controlPlane: string;
    readonly defaults?: { readonly mesh?: string };
  }[];
  readonly currentContext: string;
}

/** What is used when there is no file. */
const LOCAL_CONTEXTS: ContextsFile = {
  controlPlanes: [{ name: 'local', coordinates: { apiServer: { url: 'http://localhost:5681' } } }],
  contexts: [{ name: 'local', controlPlane: 'local' }],
  currentContext: 'local',
};

/** Where the file is written: `--config-file`, else `~/.weft/config`. */
export function contextsPath(invocation: Invocation): string {
  return textOption(invocation, 'configFile') ?? join(invocation.io.home, '.weft', 'config');
}

/**
 * The known control planes: out of `--config-file`, else `~/.weft/config`, else `~/.kumactl/config`, else only the local one.
 * Throws `config` when a file is there and can't be used, or `--config-file` names none.
 */
export async function loadContexts(invocation: Invocation): Promise<ContextsFile> {
  if (flagOption(invocation, 'noConfig')) return LOCAL_CONTEXTS;
  const given = textOption(invocation, 'configFile');
  const paths =
    given === undefined ? [contextsPath(invocation), join(invocation.io.home, '.kumactl', 'config')] : [given];
  for (const path of paths) {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new CliError('config', `read ${path}: ${(error as Error).message}`, { cause: error });
    }
    return parseContexts(text, path);
  }
  return LOCAL_CONTEXTS;
}

async function parseContexts(text: string, path: string): Promise<ContextsFile> {
  const { parse } = await import('yaml');
  let data: unknown;
  try {
    data = parse(text) ?? {};
  } catch (error) {
    throw new CliError('config', `read ${path}: not YAML: ${(error as Error).message.split('\n')[0]}`, {
      cause: error,
    });
  }
  return parseContextsData(data, path);
}

/** Writes the file, readable by its owner only (it can hold a token), whole or not at all. */
export async function saveContexts(path: string, file: ContextsFile): Promise<void> {
  const { stringify } = await import('yaml');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, stringify(file, { sortMapEntries: true, lineWidth: 0 }), { mode: 0o600 });
  await rename(draft, path);
}

/** Coordinates that a command uses: `--cp-address`, else the current context. */
async function currentCoordinates(invocation: Invocation): Promise<ApiServerCoordinates> {
  const address = textOption(invocation, 'cpAddress');
  const file = await loadContexts(invocation);
  if (address !== undefined) {
    checkAddress(address, '--cp-address');
    const known = file.controlPlanes.find((one) => sameAddress(one.coordinates.apiServer.url, address));
    return known?.coordinates.apiServer ?? { url: address };
  }
  const name = textOption(invocation, 'context') ?? file.currentContext;
  const context = file.contexts.find((one) => one.name === name);
  const plane = file.controlPlanes.find((one) => one.name === context?.controlPlane);
  if (plane === undefined) {
    const known = file.contexts.map((one) => one.name).join(', ');
    throw new CliError('config', `there is no control plane "${name}"`, {
      next: known === '' ? 'add one with `weft config control-planes add`' : `known ones: ${known}`,
    });
  }
  return plane.coordinates.apiServer;
}

function sameAddress(one: string, other: string): boolean {
  return URL.canParse(one) && new URL(one).href === new URL(other).href;
}

/** Throws a usage error unless `address` is an HTTP or HTTPS URL. */
export function checkAddress(address: string, flag: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return;
  throw usageError(
    `${flag}: "${address}" is not an HTTP URL`,
    'give it as http://localhost:5681 or https://localhost:5682',
  );
}

/** A client of the current control plane. Says so on stderr when its certificate is not checked. */
export async function openClient(invocation: Invocation): Promise<ApiClient> {
  return clientOf(await currentCoordinates(invocation), invocation);
}

const API_TIMEOUT_MS = 60_000;

/** A client for these coordinates; files are read now. Throws `config` when one can't be read or the authentication type is unknown. */
export async function clientOf(coordinates: ApiServerCoordinates, invocation: Invocation): Promise<ApiClient> {
  const { io } = invocation;
  if (coordinates.skipVerify === true) {
    io.stderr(`warning: the certificate of ${coordinates.url} is not checked (skipVerify); use a CA file instead\n`);
  }
  const file = async (path: string | undefined) => (path ? await readPem(path) : undefined);
  const caCert = await file(coordinates.caCertFile);
  const clientCert = await file(coordinates.clientCertFile);
  const clientKey = await file(coordinates.clientKeyFile);
  const target: ApiTarget = {
    url: coordinates.url,
    headers: {
      ...Object.fromEntries((coordinates.headers ?? []).map(({ key, value }) => [key.toLowerCase(), value])),
      ...credentials(coordinates),
    },
    skipVerify: coordinates.skipVerify === true,
    ...(caCert === undefined ? {} : { caCert }),
    ...(clientCert === undefined ? {} : { clientCert }),
    ...(clientKey === undefined ? {} : { clientKey }),
  };
  return createApiClient(target, {
    timeoutMs: durationOption(invocation, 'apiTimeout', 'api-timeout') ?? API_TIMEOUT_MS,
    signal: io.signal,
    ...(textOption(invocation, 'logLevel') === 'debug' ? { debug: (line) => io.stderr(`debug: ${line}\n`) } : {}),
  });
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CliError('config', `read ${path}: ${(error as NodeJS.ErrnoException).code}`, {
      next: 'correct the path with `weft config control-planes add --overwrite`',
      cause: error,
    });
  }
}

function credentials({ authType, authConf, url }: ApiServerCoordinates): Record<string, string> {
  if (authType === undefined || authType === '') return {};
  if (authType !== 'tokens') {
    throw new CliError('config', `control plane ${url}: authentication type "${authType}" is not known`, {
      next: 'use --auth-type=tokens',
    });
  }
  const token = authConf?.['token'];
  return token ? { authorization: `Bearer ${token}` } : {};
}
