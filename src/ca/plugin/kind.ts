/** A CA backend kind whose work is done by a plug-in: the SDK's interface on one side, `CaBackend` on the other. */
import { z } from 'zod';
import type { Violation } from '../../resources/resource.ts';
import { readNode } from '../../x509/certificate.ts';
import { formatCertificates, mergeBundles, parseCertificates } from '../../x509/chain.ts';
import { toPem } from '../../x509/pem.ts';
import { CHAIN_LIMITS } from '../../x509/verify.ts';
import {
  type BackendConfig,
  type CaBackend,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type CaNotice,
} from '../backend.ts';
import { readConf, secretsIn } from './conf-fields.ts';
import type { PluginHost } from './host.ts';

/** As `SOME_AT_ONCE` of `identity/`. */
const CONCURRENCY = 32;
const VALIDATE_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2000;

export function createPluginKind(type: string, host: PluginHost): CaBackendKind {
  let sessions = 0;
  return {
    type,
    rehearsedOnWrite: true,
    get limits() {
      const { concurrency = CONCURRENCY, perSecond } = host.descriptor?.limits ?? {};
      return { concurrency, ...(perSecond === undefined ? {} : { perSecond }) };
    },

    async validate(config, path, deps) {
      const signal = AbortSignal.timeout(VALIDATE_TIMEOUT_MS);
      try {
        const { confSchema } = await host.ready(signal);
        const read = await readConf(config, confSchema, path, deps);
        host.hide(read.secrets);
        const { mesh, name: backend } = config;
        const said = await host.call({ method: 'validate', mesh, backend, conf: read.conf }, signal);
        return [...read.violations, ...readViolations(said, path, host).filter(isElsewhere(read.violations))];
      } catch (error) {
        if (!(error instanceof CaError)) throw error;
        const next = 'apply it again when the plug-in runs, or set mtls.skipValidation';
        return [{ field: path, message: `cannot be checked: ${error.message}; ${next}` }];
      }
    },

    usedSecrets: ({ conf }) => secretsIn(conf),

    open(config, deps) {
      sessions += 1;
      return openSession(config, deps, host, sessions);
    },
  };
}

const MAX_VIOLATIONS = 50;
const violationList = z.array(z.object({ field: z.string(), message: z.string() })).max(1000);

function readViolations(said: unknown, path: string, host: PluginHost): readonly Violation[] {
  const read = violationList.safeParse(said);
  if (!read.success) throw new CaError('invalid-answer', 'the plug-in answered no list of violations');
  return read.data.slice(0, MAX_VIOLATIONS).map(({ field, message }) => {
    const inner = host.clean(field);
    const at = inner === '' ? path : `${path}${inner.startsWith('[') ? '' : '.'}${inner}`;
    return { field: at, message: host.clean(message) };
  });
}

/** A field that could not be read has been named already. */
function isElsewhere(known: readonly Violation[]): (violation: Violation) => boolean {
  return ({ field }) => !known.some((one) => one.field === field || one.field.startsWith(`${field}.`));
}

const anchorsAnswer = z.object({ pem: z.string(), refreshAfterMs: z.number().min(1000).optional() });
const signAnswer = z.object({ chainPem: z.string(), anchorsPem: z.string().optional() });

function openSession(config: BackendConfig, deps: CaDependencies, host: PluginHost, session: number): CaBackend {
  const { mesh, name: backend } = config;
  /** Of the process it was opened in. */
  let opened: { readonly generation: number; readonly done: Promise<void> } | undefined;
  let listener: (notice: CaNotice) => void = () => {};
  host.listen(session, (notice) => listener(notice));
  const unsubscribe = host.subscribe((problem) => {
    listener({ kind: 'problem', problem });
    if (problem === undefined) listener({ kind: 'changed' });
  });

  /** Opened again in each new process, and after it could not be opened. */
  async function open(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
    const { confSchema } = await host.ready(signal);
    if (opened?.generation !== host.generation) {
      const own = { generation: host.generation, done: openIn(confSchema) };
      opened = own;
      own.done.catch(() => {
        if (opened === own) opened = undefined;
      });
    }
    await opened!.done;
  }

  async function openIn(schema: Readonly<Record<string, unknown>>): Promise<void> {
    const { conf, violations, secrets } = await readConf(config, schema, 'conf', deps);
    host.hide(secrets);
    const problem = violations[0];
    if (problem !== undefined) {
      const where = `open backend "${backend}" of mesh "${mesh}"`;
      throw new CaError('not-configured', `${where}: ${problem.field}: ${problem.message}`);
    }
    await host.call({ method: 'open', session, mesh, backend, conf }, AbortSignal.timeout(OPEN_TIMEOUT_MS));
  }

  return {
    async trustAnchors(signal) {
      await open(signal);
      const said = anchorsAnswer.safeParse(await host.call({ method: 'anchors', session }, signal));
      if (!said.success) throw badAnswer('trustAnchors', 'no {pem}');
      const pem = certificatesOf('trustAnchors', () => mergeBundles([said.data.pem]));
      const ends = parseCertificates(pem).map((der) => readNode(der).validToDate.getTime());
      const { refreshAfterMs } = said.data;
      return {
        pem,
        notAfter: Math.min(...ends),
        ...(refreshAfterMs === undefined ? {} : { refreshAt: deps.now() + refreshAfterMs }),
      };
    },

    async sign(request, signal) {
      await open(signal);
      const { proxy, uriSans, lifetimeMs, timeoutMs } = request;
      const csrPem = toPem('CERTIFICATE REQUEST', Buffer.from(await request.csr()));
      const asked = { csrPem, uriSans, lifetimeMs, timeoutMs, proxy };
      const said = signAnswer.safeParse(await host.call({ method: 'sign', session, request: asked }, signal));
      if (!said.success) throw badAnswer('sign', 'no {chainPem}');
      const { chainPem, anchorsPem } = said.data;
      // Certificates only, whatever else is in the text.
      const pem = certificatesOf('sign', () => formatCertificates(parseCertificates(chainPem, CHAIN_LIMITS)));
      if (anchorsPem === undefined) return { pem };
      return { pem, anchorsPem: certificatesOf('sign', () => mergeBundles([anchorsPem])) };
    },

    notices(hear) {
      listener = hear;
    },

    async close() {
      unsubscribe();
      host.forget(session);
      listener = () => {};
      if (opened?.generation !== host.generation) return;
      await host.call({ method: 'close', session }, AbortSignal.timeout(CLOSE_TIMEOUT_MS)).catch(() => {});
    },
  };
}

const OPEN_TIMEOUT_MS = 10_000;

function badAnswer(what: string, instead: string): CaError {
  return new CaError('invalid-answer', `the answer of the plug-in to ${what} was refused: it is ${instead}`);
}

function certificatesOf(what: string, read: () => string): string {
  try {
    return read();
  } catch (error) {
    throw badAnswer(what, error instanceof Error ? `unreadable: ${error.message}` : 'unreadable');
  }
}
