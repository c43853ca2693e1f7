import { PROXY_TYPES, type ProxyType } from '../auth/claims.ts';
import type { Tokens } from '../auth/tokens.ts';
import { parseGoDuration } from '../lib/duration.ts';
import type { Violation } from '../resources/resource.ts';
import { badRequest, inStage, requireValid } from './problem.ts';
import type { Answer, Call, JsonSchema, Route } from './route.ts';

const INVALID = 'Invalid request';
const NOT_ISSUED = 'Could not issue a token';
const TEN_YEARS_MS = 10 * 365 * 24 * 3_600_000;

/** `POST /tokens/{dataplane,zone,user}`: the answer is the token as text. Source: compatibility reference 4.2. */
export function tokenRoutes(tokens: Pick<Tokens, 'issueDataplane' | 'issueZone' | 'issueUser'>): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/tokens/dataplane',
      access: { rule: 'generateDpToken', what: 'generation of dataplane tokens' },
      document: document('Dataplane', {
        name: TEXT,
        mesh: TEXT,
        tags: { type: 'object', additionalProperties: { type: 'array', items: TEXT } },
        type: { type: 'string', enum: ['', ...PROXY_TYPES] },
        workload: TEXT,
        validFor: DURATION,
      }),
      handle: (call) => issueDataplane(tokens, call),
    },
    {
      method: 'POST',
      path: '/tokens/zone',
      access: { rule: 'generateZoneToken', what: 'generation of zone tokens' },
      document: document('Zone', { zone: TEXT, scope: { type: 'array', items: TEXT }, validFor: DURATION }),
      handle: (call) => issueZone(tokens, call),
    },
    {
      method: 'POST',
      path: '/tokens/user',
      access: { rule: 'generateUserToken', what: 'generation of user tokens' },
      document: document('User', { name: TEXT, groups: { type: 'array', items: TEXT }, validFor: DURATION }),
      handle: (call) => issueUser(tokens, call),
    },
  ];
}

const TEXT = { type: 'string' };
const DURATION = { type: 'string', description: 'Go duration, `24h`' };

function document(kind: string, properties: Record<string, JsonSchema>): Route['document'] {
  return {
    id: `issue${kind}Token`,
    summary: `Issue a ${kind.toLowerCase()} token`,
    tag: 'Tokens',
    body: { type: 'object', properties },
    answerType: 'text/plain',
    statuses: { 404: 'There is no signing key' },
  };
}

async function issueDataplane(tokens: Pick<Tokens, 'issueDataplane'>, call: Call): Promise<Answer> {
  const body = fieldsOf(call.body());
  const mesh = body.text('mesh');
  const name = body.text('name');
  const type = body.text('type');
  const workload = body.text('workload');
  const tags = body.listMap('tags');
  const violations: Violation[] = mesh === '' ? [{ field: 'mesh', message: 'cannot be empty' }] : [];
  const validForMs = readValidFor(body.text('validFor'), violations) ?? TEN_YEARS_MS;
  if (type !== '' && !PROXY_TYPES.includes(type as ProxyType)) {
    violations.push({ field: 'type', message: `must be one of ${PROXY_TYPES.join(', ')}` });
  }
  requireValid(INVALID, violations);
  const claims = {
    mesh,
    tags,
    ...(name ? { name } : {}),
    ...(type ? { type: type as ProxyType } : {}),
    ...(workload ? { workload } : {}),
  };
  return tokenAnswer(() => tokens.issueDataplane(claims, validForMs));
}

async function issueZone(tokens: Pick<Tokens, 'issueZone'>, call: Call): Promise<Answer> {
  const body = fieldsOf(call.body());
  const zone = body.text('zone');
  const scope = body.list('scope');
  const violations: Violation[] = scope === undefined ? [{ field: 'scope', message: 'cannot be empty' }] : [];
  const validForMs = readValidFor(body.text('validFor'), violations) ?? TEN_YEARS_MS;
  requireValid(INVALID, violations);
  return tokenAnswer(() => tokens.issueZone({ ...(zone ? { zone } : {}), scope: scope ?? [] }, validForMs));
}

async function issueUser(tokens: Pick<Tokens, 'issueUser'>, call: Call): Promise<Answer> {
  const body = fieldsOf(call.body());
  const name = body.text('name');
  const groups = body.list('groups') ?? [];
  const validFor = body.text('validFor');
  const violations: Violation[] = name === '' ? [{ field: 'name', message: 'cannot be empty' }] : [];
  if (validFor === '') violations.push({ field: 'validFor', message: 'cannot be empty' });
  const validForMs = readValidFor(validFor, violations);
  if (validForMs === 0) violations.push({ field: 'validFor', message: 'cannot be empty or nil' });
  requireValid(INVALID, violations);
  return tokenAnswer(() => tokens.issueUser({ name, groups }, validForMs ?? 0));
}

async function tokenAnswer(issue: () => Promise<string>): Promise<Answer> {
  return { contentType: 'text/plain', content: await inStage(NOT_ISSUED, issue) };
}

/** Milliseconds; `undefined` when none was given. Adds a violation for text that is no duration, or one before now. */
function readValidFor(text: string, violations: Violation[]): number | undefined {
  if (text === '') return undefined;
  const ms = parseGoDuration(text);
  if (ms === undefined || !Number.isFinite(ms)) {
    violations.push({ field: 'validFor', message: 'is invalid: not a duration such as 24h or 30m' });
    return undefined;
  }
  if (ms < 0) violations.push({ field: 'validFor', message: 'is invalid: cannot be negative' });
  return ms;
}

/** Typed reading of a small JSON body; null counts as absent. Reading throws a 400 that names the field of another type. */
function fieldsOf(body: unknown) {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw badRequest('read the body: a JSON object is needed');
  }
  const fields = new Map<string, unknown>(Object.entries(body).filter(([, value]) => value !== null));
  return {
    text(name: string): string {
      const value = fields.get(name) ?? '';
      if (typeof value !== 'string') throw badRequest(`read the body: field "${name}" must be a string`);
      return value;
    },
    list(name: string): readonly string[] | undefined {
      const value = fields.get(name);
      return value === undefined ? undefined : asTexts(value, name);
    },
    listMap(name: string): ReadonlyMap<string, readonly string[]> {
      const value = fields.get(name) ?? {};
      if (typeof value !== 'object' || Array.isArray(value)) {
        throw badRequest(`read the body: field "${name}" must be an object of lists`);
      }
      return new Map(Object.entries(value).map(([key, items]) => [key, asTexts(items, `${name}["${key}"]`)]));
    },
  };
}

function asTexts(value: unknown, name: string): readonly string[] {
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw badRequest(`read the body: field "${name}" must be a list of strings`);
  }
  return value as string[];
}
