import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { sleep } from '../../lib/wait.ts';
import type { WebhookCertificates } from './certificate-keeper.ts';

/** Files change by a symbolic link when a Secret is mounted, which no file watch tells reliably. */
const LOOK_EVERY_MS = 10_000;

interface Files {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caBundle: string | undefined;
}

/**
 * Certificates that somebody else keeps in `dir`: `tls.crt`, `tls.key`, and optionally `ca.crt`, which is then what API servers are told to trust.
 * Looks again every 10 s; files that do not fit together are left until they do. Throws when they can't be used now.
 */
export async function openCertificateFiles(
  dir: string,
  options: { clock: Clock; log: Logger },
): Promise<WebhookCertificates> {
  const { clock, log } = options;
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  let files = await load(dir);

  async function follow(): Promise<void> {
    for (;;) {
      await sleep(clock, LOOK_EVERY_MS, closing.signal);
      if (closing.signal.aborted) return;
      try {
        const next = await load(dir);
        if (JSON.stringify(next) === JSON.stringify(files)) continue;
        files = next;
        log.info('certificate of the admission webhooks read again', { dir });
        for (const listener of listeners) listener();
      } catch (error) {
        log.warn('reading the certificate of the admission webhooks failed, the old one stays', { dir, error });
      }
    }
  }
  const following = follow();

  return {
    get serving() {
      return files;
    },
    get caBundle() {
      return files.caBundle;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      closing.abort();
      await following;
    },
  };
}

async function load(dir: string): Promise<Files> {
  const read = async (name: string) => {
    try {
      return await readFile(join(dir, name), 'utf8');
    } catch (cause) {
      if (name === 'ca.crt' && (cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new Error(
        `read ${join(dir, name)}: ${(cause as Error).message}; check runtime.kubernetes.admissionServer.certDir`,
        { cause },
      );
    }
  };
  const [certPem = '', keyPem = '', caBundle] = await Promise.all([read('tls.crt'), read('tls.key'), read('ca.crt')]);
  try {
    createSecureContext({ cert: certPem, key: keyPem });
  } catch (cause) {
    throw new Error(`use tls.crt and tls.key in ${dir}: they are no certificate with its key`, { cause });
  }
  return { certPem, keyPem, caBundle };
}
