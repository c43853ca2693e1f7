import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createCa, createTlsLeaf, isLeafFor, type TlsPair } from '../x509/tls-pair.ts';

/** What a TLS server of the control plane presents, and what its clients shall trust. */
export interface ServerCertificate {
  /** Chain, leaf first. */
  readonly certPem: string;
  readonly keyPem: string;
  /** What proxies and CLIs verify the server with; goes into the bootstrap. */
  readonly caPem: string;
}

const DAY_MS = 86_400_000;
const CA_LIFE_MS = 3650 * DAY_MS;
const SERVER_LIFE_MS = 365 * DAY_MS;
/** A server certificate with less than this left is replaced at start. */
const RENEW_BEFORE_MS = 60 * DAY_MS;

/** Certificate and key from the configured files. Throws with the file's name when one can't be read. */
export async function loadServerCertificate(certFile: string, keyFile: string): Promise<ServerCertificate> {
  const [certPem, keyPem] = await Promise.all([readText(certFile), readText(keyFile)]);
  return { certPem, keyPem, caPem: certPem };
}

/**
 * The certificate of a control plane that was given none: a CA kept in `workDir` (`ca.pem`, `ca.key` mode 0600) that outlives restarts, so that proxies
 * which trust it are never cut off, and a server certificate from it for every name and address of this machine.
 */
async function ensureServerCertificate(workDir: string, now: number): Promise<ServerCertificate> {
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const ca = (await readPair(workDir, 'ca')) ?? (await writePair(workDir, 'ca', await createServerCa(now)));
  return sharedCertificate(ca, [], workDir, now);
}

async function createServerCa(now: number): Promise<TlsPair> {
  return createCa('O=Weft, CN=weft control plane', now, CA_LIFE_MS);
}

function createServerPair(ca: TlsPair, names: readonly string[], now: number): Promise<TlsPair> {
  return createTlsLeaf(ca, { subject: 'CN=weft-control-plane', names, usage: 'server', now, lifeMs: SERVER_LIFE_MS });
}

/** Names and addresses by which a proxy may reach this machine. */
function machineNames(): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map((entry) => entry.address),
  );
  const withoutScope = addresses
    .map((address) => address.split('%')[0]!)
    .filter((address) => !address.startsWith('fe80:'));
  return [...new Set(['localhost', hostname().toLowerCase(), '127.0.0.1', '::1', ...withoutScope])].sort();
}

function covers(certPem: string, caPem: string, names: readonly string[], now: number): boolean {
  const left = new X509Certificate(certPem).validToDate.getTime() - now;
  return left >= RENEW_BEFORE_MS && isLeafFor(certPem, caPem, names);
}

async function readPair(dir: string, name: string): Promise<TlsPair | undefined> {
  try {
    const [certPem, keyPem] = await Promise.all([
      readFile(join(dir, `${name}.pem`), 'utf8'),
      readFile(join(dir, `${name}.key`), 'utf8'),
    ]);
    return { certPem, keyPem };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The key first: a certificate without its key would be found and used. Each file appears whole or not at all. */
async function writePair(dir: string, name: string, pair: TlsPair): Promise<TlsPair> {
  for (const [file, content] of [
    [`${name}.key`, pair.keyPem],
    [`${name}.pem`, pair.certPem],
  ] as const) {
    const path = join(dir, file);
    const fresh = `${path}.${process.pid}`;
    await writeFile(fresh, content, { mode: file.endsWith('.key') ? 0o600 : 0o644 });
    await rename(fresh, path);
  }
  return pair;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(
      `read TLS file ${path}: ${(cause as Error).message}; check general.tlsCertFile and general.tlsKeyFile`,
      { cause },
    );
  }
}

/** The certificate of every server that has none of its own: from the configured files, else made and kept in `workDir`. */
export function generalCertificate(
  general: { tlsCertFile: string; tlsKeyFile: string; workDir: string },
  now: number,
): Promise<ServerCertificate> {
  const { tlsCertFile, tlsKeyFile, workDir } = general;
  return tlsCertFile === '' ? ensureServerCertificate(workDir, now) : loadServerCertificate(tlsCertFile, tlsKeyFile);
}

/**
 * The certificate of one of several control planes, from the CA they share, for this machine and for `names`. Kept in `workDir` while it is of
 * this CA and good for all of them.
 */
export async function sharedCertificate(
  ca: TlsPair,
  names: readonly string[],
  workDir: string,
  now: number,
): Promise<ServerCertificate> {
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const wanted = [...new Set([...machineNames(), ...names])].sort();
  const held = await readPair(workDir, 'server');
  const usable = held !== undefined && covers(held.certPem, ca.certPem, wanted, now);
  const server = usable ? held : await writePair(workDir, 'server', await createServerPair(ca, wanted, now));
  return { certPem: server.certPem + ca.certPem, keyPem: server.keyPem, caPem: ca.certPem };
}

/** Names of a Service of the cluster, as its clients write them. */
export function serviceNames(service: string, namespace: string): readonly string[] {
  const inNamespace = `${service}.${namespace}`;
  return [service, inNamespace, `${inNamespace}.svc`, `${inNamespace}.svc.cluster.local`];
}

/** A server's own certificate files, or the general one. */
export async function optionalTls(
  own: { tlsCertFile: string; tlsKeyFile: string },
  general: ServerCertificate,
): Promise<ServerCertificate> {
  return own.tlsCertFile === '' ? general : loadServerCertificate(own.tlsCertFile, own.tlsKeyFile);
}

/** As Node's TLS servers take it. */
export function pemContext({ certPem, keyPem }: ServerCertificate): { cert: string; key: string } {
  return { cert: certPem, key: keyPem };
}

/** Kuma's name of a TLS version as Node's; 1.2 unless 1.3 is asked for. */
export function minVersionOf({ tlsMinVersion }: { tlsMinVersion: string }): 'TLSv1.2' | 'TLSv1.3' {
  return tlsMinVersion === 'TLSv1_3' ? 'TLSv1.3' : 'TLSv1.2';
}

/**
 * Both sides of Envoy's admin listeners: what the listeners present, and what this control plane shows them (`clientName` is what they ask for).
 * Kept in `workDir` while they are of this CA, so that a restart changes no listener.
 */
export async function ensureAdminCertificates(
  ca: TlsPair,
  workDir: string,
  clientName: string,
  now: number,
): Promise<{ server: TlsPair; client: TlsPair }> {
  const ensure = async (file: string, names: readonly string[], usage: 'server' | 'client'): Promise<TlsPair> => {
    const held = await readPair(workDir, file);
    if (held !== undefined && covers(held.certPem, ca.certPem, names, now)) return held;
    const made = await createTlsLeaf(ca, { subject: `CN=${file}`, names, usage, now, lifeMs: SERVER_LIFE_MS });
    return writePair(workDir, file, made);
  };
  const [server, client] = await Promise.all([
    ensure('envoy-admin-server', ['envoy-admin'], 'server'),
    ensure('envoy-admin-client', [clientName], 'client'),
  ]);
  return { server, client };
}
