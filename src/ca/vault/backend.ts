/**
 * `vault`, a Kong Mesh backend: the PKI engine of HashiCorp Vault or OpenBao signs the leaves (kuma-compat 1.3).
 *
 * ```
 * conf ── readVaultConf ──> VaultConf ── connectVault ──> client (one address, one namespace) + session (one token)
 * leaf ── issuer: sign, or issue where the policy allows no more ── answer: chain and CA, in order
 *             └─ 403: what may I? another token? ── 400: the role, and the command that mends it
 * ```
 */
import { type Clock, systemClock } from '../../lib/clock.ts';
import { contentHash } from '../../lib/hash.ts';
import type { Violation } from '../../resources/resource.ts';
import {
  type BackendConfig,
  type CaBackend,
  type CaBackendKind,
  type CaDependencies,
  CaError,
  type CaNotice,
} from '../backend.ts';
import { loadDataSource } from '../data-source.ts';
import { learnAnchors } from '../own-leaf.ts';
import { readVaultConf, secretsOf, type VaultConf } from './conf.ts';
import { connectVault, subjectOf, type VaultConnection } from './connect.ts';
import { createVaultIssuer, type Mode } from './issuer.ts';
import { keysMadeByVault, tokenEnds } from './problem.ts';
import { rehearseRole } from './rehearse.ts';
import type { RoleNeeds } from './role.ts';
import { loadTls, TlsMaterialError } from './tls.ts';

export const vaultCa: CaBackendKind = {
  type: 'vault',
  limits: { concurrency: 32 },
  rehearsedOnWrite: true,

  async validate(config, path, deps) {
    const violations: Violation[] = [];
    const conf = readVaultConf(config.conf, path, deps.egress.urlProblem, violations);
    return violations.length > 0 ? violations : sourceViolations(config, conf, `${path}.fromCp`, deps);
  },

  usedSecrets: ({ conf }) => secretsOf(conf),

  open(config, deps) {
    const violations: Violation[] = [];
    const conf = readVaultConf(config.conf, 'conf', deps.egress.urlProblem, violations);
    const wrong = violations[0];
    if (wrong === undefined) return openVault(config, conf, deps, systemClock);
    const where = `open vault backend "${config.name}" of mesh "${config.mesh}"`;
    const error = new CaError('not-configured', `${where}: ${wrong.field} ${wrong.message}`);
    return { announcesWithAnswers: true, trustAnchors: () => Promise.reject(error), sign: () => Promise.reject(error) };
  },

  async rehearse(config, path, deps, signal) {
    const conf = readVaultConf(config.conf, path, deps.egress.urlProblem, []);
    const subject = subjectOf(config, conf);
    const needs = needsOf(config, conf);
    const connection = await connectVault(config, conf, deps, systemClock, () => undefined);
    try {
      const { now } = deps;
      const issuer = createVaultIssuer({
        subject,
        conf,
        needs,
        now,
        connect: () => Promise.resolve(connection),
        found: () => undefined,
      });
      return await rehearseRole({ config, path, subject, needs, issuer, now, signal });
    } finally {
      await connection.close();
    }
  },
};

/** Kuma's default, where the Mesh does not say how long leaves live. */
const LEAF_LIFETIME_MS = 86_400_000;

function needsOf(config: BackendConfig, conf: VaultConf): RoleNeeds {
  return {
    mesh: config.mesh,
    keyType: conf.leafKeyType,
    leafLifetimeMs: config.leafLifetimeMs ?? LEAF_LIFETIME_MS,
    hasCommonName: conf.commonName !== undefined,
  };
}

/** Every data source that cannot be loaded, and what is wrong with certificates and keys in them. */
async function sourceViolations(
  config: BackendConfig,
  conf: VaultConf,
  path: string,
  deps: CaDependencies,
): Promise<readonly Violation[]> {
  const { auth, tls } = conf;
  const sources: [string, unknown][] = [['tls.caCert', tls.caCert]];
  if (auth.kind === 'token') sources.push(['auth.token', auth.token]);
  if (auth.kind === 'tls') {
    sources.push(['auth.tls.clientCert', auth.clientCert], ['auth.tls.clientKey', auth.clientKey]);
  }
  if (auth.kind === 'appRole') {
    sources.push(['auth.appRole.roleId', auth.roleId], ['auth.appRole.secretId', auth.secretId]);
  }
  const violations: Violation[] = [];
  for (const [field, source] of sources) {
    if (source === undefined) continue;
    await loadDataSource(config.mesh, source, deps).catch((error: unknown) =>
      violations.push({
        field: `${path}.${field}`,
        message: error instanceof Error ? error.message : 'could not load data',
      }),
    );
  }
  if (violations.length > 0) return violations;
  try {
    await loadTls(conf, (source) => loadDataSource(config.mesh, source, deps));
    return [];
  } catch (error) {
    if (!(error instanceof TlsMaterialError)) throw error;
    return [{ field: `${path}.${error.field}`, message: error.message }];
  }
}

/** Whether the CA of the mount is another one is asked so often, in ms. It costs no right and no certificate. */
const WATCH_MS = 300_000;
const WATCH_TIMEOUT_MS = 10_000;

/** `watchMs`: how often the CA of the mount is looked at. */
export function openVault(
  config: BackendConfig,
  conf: VaultConf,
  deps: CaDependencies,
  clock: Clock,
  watchMs = WATCH_MS,
): CaBackend {
  const subject = subjectOf(config, conf);
  const closing = new AbortController();
  const listeners = new Set<(notice: CaNotice) => void>();
  let connection: Promise<VaultConnection> | undefined;
  let mode: Mode = 'sign';
  let tokenEndsAt: number | undefined;
  let told: string | undefined;
  /** Of the CA that the mount showed last. */
  let seen: string | undefined;

  function connect(): Promise<VaultConnection> {
    connection ??= connectVault(config, conf, deps, clock, (at) => {
      tokenEndsAt = at;
      tell();
    }).catch((error: unknown) => {
      // A Secret may be there the next time.
      connection = undefined;
      throw error;
    });
    return connection;
  }

  const issuer = createVaultIssuer({
    subject,
    conf,
    needs: needsOf(config, conf),
    now: deps.now,
    connect,
    found(next) {
      mode = next;
      tell();
    },
  });

  function notify(notice: CaNotice): void {
    for (const listener of listeners) listener(notice);
  }

  /** Leaves are issued, but somebody should know this. */
  function tell(): void {
    const ending = tokenEndsAt === undefined ? undefined : tokenEnds(subject, tokenEndsAt);
    const remark = ending ?? (mode === 'issue' ? keysMadeByVault(subject) : undefined);
    if (remark?.message === told) return;
    told = remark?.message;
    notify({ kind: 'remark', remark });
  }

  /** Looks at the CA of the mount, which anybody may (Vault API, "Read issuer certificate chain"). Never rejects. */
  async function watch(): Promise<void> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(WATCH_TIMEOUT_MS)]);
    try {
      const { client } = await connect();
      const { data } = await client.call({ method: 'GET', path: `${subject.pki}/cert/ca_chain`, signal });
      const now = contentHash(JSON.stringify([data['ca_chain'], data['certificate']]));
      const isNews = seen !== undefined && seen !== now;
      seen = now;
      if (isNews) notify({ kind: 'changed' });
    } catch {
      // Not reached now, or not shown to everybody: leaves tell the same a little later.
    }
    watchAgain();
  }

  let timer = clock.after(0, () => void watch());
  function watchAgain(): void {
    if (!closing.signal.aborted) timer = clock.after(watchMs, () => void watch());
  }

  const sign: CaBackend['sign'] = async (request, signal) => {
    if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
    return issuer.sign(request, AbortSignal.any([signal, closing.signal]));
  };

  return {
    announcesWithAnswers: true,
    trustAnchors: (signal) => learnAnchors(config, sign, deps.now, signal),
    sign,
    notices(listener) {
      listeners.add(listener);
      told = undefined;
      queueMicrotask(tell);
    },
    async close() {
      listeners.clear();
      closing.abort();
      timer.cancel();
      await connection?.then(
        (open) => open.close(),
        () => undefined,
      );
    },
  };
}
