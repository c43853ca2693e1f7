import { fs, os } from './node.ts';

const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** The machine's file of trusted CAs, '' when there is none. The places are those of Go's `crypto/x509`. */
export function findSystemCaPath(): string {
  return CA_FILES.find((path) => fs.existsSync(path)) ?? '';
}

/** Memory limit of this control group in bytes, 0 when there is none. Source: Linux cgroup v2 `memory.max`, v1 `memory.limit_in_bytes`. */
export function readMemoryLimit(): number {
  for (const path of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    const text = readIfThere(path).trim();
    // Version 1 writes a number near 2^63 for "no limit".
    const bytes = Number(text);
    if (text !== '' && bytes > 0 && bytes < 2 ** 50) return bytes;
  }
  return 0;
}

function readIfThere(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** True when an interface has an IPv6 address. */
export function hasIpv6(): boolean {
  return Object.values(os.networkInterfaces()).some((list) => list?.some((address) => address.family === 'IPv6'));
}

/** True for a file that this process may run. */
export function isExecutable(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.X_OK);
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

/** First executable of that name in PATH. */
export function lookUpProgram(name: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  for (const folder of (env['PATH'] ?? '').split(':')) {
    if (folder && isExecutable(`${folder}/${name}`)) return `${folder}/${name}`;
  }
  return undefined;
}
