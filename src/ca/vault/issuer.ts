import type { CaError, Chain, SigningRequest } from '../backend.ts';
import { renderNames } from '../leaf-names.ts';
import { createLifeLimit } from '../life-limit.ts';
import { createAnswerReader, issueBody, type LeafOrder, signBody } from './answer.ts';
import type { VaultConf } from './conf.ts';
import type { VaultConnection } from './connect.ts';
import { forbidden, keyIsElsewhere, type Subject, VaultRefusal } from './problem.ts';
import type { Role, RoleNeeds } from './role.ts';
import { endOfCa, roleProblem } from './role-problem.ts';

/** Who makes the keys: this side (`sign`), or Vault (`issue`), where the policy of the token allows nothing else. */
export type Mode = 'sign' | 'issue';

/** Leaves from one role. Both throw `CaError`. */
export interface VaultIssuer {
  sign(request: SigningRequest, signal: AbortSignal): Promise<Chain>;
  /** The role as Vault shows it; `undefined`: the token may not see it. */
  readRole(signal: AbortSignal): Promise<Role | undefined>;
}

/** A policy may be mended: after so long `sign` is tried again, in ms. */
const ISSUE_MS = 600_000;
/** A leaf ends at least so long before a CA that Vault says it would outlive, in ms: Vault counts from its own "now". */
const END_MARGIN_MS = 30_000;

export function createVaultIssuer(options: {
  subject: Subject;
  conf: VaultConf;
  needs: RoleNeeds;
  now: () => number;
  connect: () => Promise<VaultConnection>;
  /** The mode, each time it is found out. */
  found: (mode: Mode) => void;
}): VaultIssuer {
  const { subject, conf, needs, now } = options;
  const life = createLifeLimit(now);
  const readAnswer = createAnswerReader(subject);
  let mode: Mode = 'sign';
  let issueUntil = 0;
  /** What the policies allow is asked once for all that are refused at the same time. */
  let asking: Promise<Mode | 'neither' | 'unknown'> | undefined;

  function use(found: Mode): void {
    mode = found;
    if (found === 'issue') issueUntil = now() + ISSUE_MS;
    options.found(found);
  }

  /** One leaf, by whatever the policies allow. Throws `VaultRefusal` and `CaError`. */
  async function ask(request: SigningRequest, order: LeafOrder, signal: AbortSignal): Promise<Chain> {
    const { client, session } = await options.connect();
    const by = async (how: Mode, token: string | undefined): Promise<Chain> => {
      if (how === 'issue' && request.keyIsElsewhere === true) throw keyIsElsewhere(subject);
      const { commonName } = order;
      const body =
        how === 'issue'
          ? issueBody(order)
          : signBody(order, await request.csr(commonName === undefined ? {} : { commonName }));
      const call = { method: 'POST', path: `${subject.pki}/${how}/${subject.role}`, body, token, signal } as const;
      const { data } = await client.call(call);
      if (how !== mode) use(how);
      return readAnswer(data, how === 'issue' ? undefined : request);
    };
    const first: Mode = mode === 'issue' && now() < issueUntil ? 'issue' : 'sign';
    const token = await session.token(signal);
    const refusal = await refusalOf(() => by(first, token));
    if (!(refusal instanceof VaultRefusal)) return refusal;
    asking ??= allowed(token, signal).finally(() => {
      asking = undefined;
    });
    const may = await asking;
    if ((may === 'sign' || may === 'issue') && may !== first) {
      use(may);
      return by(may, token);
    }
    const other = await session.another(token, signal);
    if (other !== undefined) {
      const again = await refusalOf(() => by('sign', other));
      if (!(again instanceof VaultRefusal)) return again;
    }
    // Who may not ask what it may do, may be allowed `issue` all the same.
    if (may !== 'unknown' || request.keyIsElsewhere === true) throw forbidden(subject, refusal);
    const last = await refusalOf(() => by('issue', other ?? token));
    if (last instanceof VaultRefusal) throw forbidden(subject, last);
    return last;
  }

  /** Source: Vault API, "/sys/capabilities-self", which the policy `default` allows. */
  async function allowed(token: string | undefined, signal: AbortSignal): Promise<Mode | 'neither' | 'unknown'> {
    const { client } = await options.connect();
    const paths = { sign: `${subject.pki}/sign/${subject.role}`, issue: `${subject.pki}/issue/${subject.role}` };
    const body = { paths: Object.values(paths) };
    try {
      const { data } = await client.call({ method: 'POST', path: 'sys/capabilities-self', body, token, signal });
      const may = (path: string) => {
        const found = data[path];
        return Array.isArray(found) && found.some((right) => right === 'update' || right === 'root');
      };
      if (may(paths.sign)) return 'sign';
      return may(paths.issue) ? 'issue' : 'neither';
    } catch (error) {
      if (error instanceof VaultRefusal) return 'unknown';
      throw error;
    }
  }

  /** What `ask` threw, in words, with the role's own options where they can be seen. */
  async function explain(error: unknown, order: LeafOrder, signal: AbortSignal): Promise<CaError> {
    const { client } = await options.connect();
    if (error instanceof VaultRefusal && error.status === 400) {
      const role = await readRole(signal).catch(() => undefined);
      const found = roleProblem(subject, error, role, needs, order.commonName);
      if (found !== undefined) return found;
    }
    return client.explain(error, { kind: 'leaf', path: `${subject.pki}/${mode}/${subject.role}` }, signal);
  }

  async function readRole(signal: AbortSignal): Promise<Role | undefined> {
    const { client, session } = await options.connect();
    const path = `${subject.pki}/roles/${subject.role}`;
    try {
      return (await client.call({ method: 'GET', path, token: await session.token(signal), signal })).data;
    } catch (error) {
      if (error instanceof VaultRefusal && (error.status === 403 || error.status === 404)) return undefined;
      throw await client.explain(error, { kind: 'read', path }, signal);
    }
  }

  return {
    readRole,
    async sign(request, signal) {
      const { commonName } = renderNames(conf, request.uriSans, subject);
      const orderFor = (lifetimeMs: number): LeafOrder => ({ uriSans: request.uriSans, commonName, lifetimeMs });
      const order = orderFor(life.limit(request.lifetimeMs));
      try {
        const chain = await ask(request, order, signal).catch((error: unknown) => {
          const remaining = error instanceof VaultRefusal ? (endOfCa(error) ?? 0) - now() : 0;
          if (remaining < 1000) throw error;
          return ask(request, orderFor(remaining - Math.min(END_MARGIN_MS, remaining / 4)), signal);
        });
        // A role with leaf_not_after_behavior=permit lets a leaf outlive its CA.
        return life.learn(chain, undefined)
          ? await ask(request, orderFor(life.limit(request.lifetimeMs)), signal)
          : chain;
      } catch (error) {
        throw await explain(error, order, signal);
      }
    },
  };
}

/** What `work` answers, or the 403 it threw. */
async function refusalOf<T>(work: () => Promise<T>): Promise<T | VaultRefusal> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof VaultRefusal && error.status === 403) return error;
    throw error;
  }
}
