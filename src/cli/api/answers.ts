import { CliError, type CliErrorCode, type FieldReason } from '../errors.ts';
import type { ApiClient, ApiRequest, ApiResponse } from './client.ts';

/** A JSON object as it came over the wire. */
export type Json = Readonly<Record<string, unknown>>;

/** Answer of a request that must succeed, as text. Throws the typed error of the API's answer. */
export async function fetchText(client: ApiClient, request: ApiRequest): Promise<string> {
  const response = await client.send(request);
  if (response.status >= 200 && response.status < 300) return response.text;
  throw answerError(response, request.doing, client.url);
}

/** As `fetchText`, parsed. An empty answer is an empty object. */
export async function fetchJson(client: ApiClient, request: ApiRequest): Promise<Json> {
  return parseAnswer(await fetchText(client, request), request.doing);
}

/** As `fetchJson`; `undefined` when the API says 404. */
export async function findJson(client: ApiClient, request: ApiRequest): Promise<Json | undefined> {
  const response = await client.send(request);
  if (response.status === 404) return undefined;
  if (response.status >= 200 && response.status < 300) return parseAnswer(response.text, request.doing);
  throw answerError(response, request.doing, client.url);
}

function parseAnswer(text: string, doing: string): Json {
  if (text === '') return {};
  try {
    return asJson(JSON.parse(text));
  } catch (error) {
    throw new CliError('server', `${doing}: the answer is not JSON`, {
      next: 'check that the address is that of a control plane API',
      cause: error,
    });
  }
}

/** An object, or an empty one when the value is none. */
export function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** The objects of a list; `[]` when the value is no list. */
export function asList(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(asJson) : [];
}

/** A text, or '' when the value is none. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A number, or 0. proto3 JSON writes 64-bit numbers as text. */
export function asNumber(value: unknown): number {
  const number = Number(value ?? 0);
  return Number.isNaN(number) ? 0 : number;
}

/** Typed error of a refusal. Reads the current error body and its older form. Source: compatibility reference 5.1. */
export function answerError(response: ApiResponse, doing: string, url: string): CliError {
  const body = bodyOf(response.text);
  const fields = fieldsOf(body);
  const title = asText(body['title']);
  const detail =
    asText(body['detail']) || asText(body['details']) || (Object.keys(body).length === 0 ? response.text.trim() : '');
  const [code, next] = meaningOf(response.status, fields.length > 0, url);
  const said = fields.length > 0 ? title || detail : [title, detail].filter((part) => part !== '').join(': ');
  const message = `${doing}: ${said || `HTTP ${response.status}`}`;
  return new CliError(code, message.slice(0, 2000), { fields, ...(next === undefined ? {} : { next }) });
}

function bodyOf(text: string): Json {
  try {
    return asJson(JSON.parse(text));
  } catch {
    // Old endpoints and proxies in between answer with plain text: it is shown as it is.
    return {};
  }
}

function fieldsOf(body: Json): readonly FieldReason[] {
  const current = asList(body['invalid_parameters']).map((one) => ({
    field: asText(one['field']),
    reason: asText(one['reason']),
  }));
  if (current.length > 0) return current;
  return asList(body['causes']).map((one) => ({ field: asText(one['field']), reason: asText(one['message']) }));
}

function meaningOf(status: number, hasFields: boolean, url: string): readonly [CliErrorCode, string | undefined] {
  switch (status) {
    case 401:
      return [
        'denied',
        'get a user token and give it with `weft config control-planes add --auth-type=tokens --auth-conf token=<token>`',
      ];
    case 403:
      return [
        'denied',
        'use a user of an admin group: `weft generate user-token --name admin --group mesh-system:admin --valid-for 24h`',
      ];
    case 404:
      return ['not-found', undefined];
    case 405:
      return ['refused', 'make the change where this resource is managed'];
    case 409:
      return ['refused', 'someone else wrote it at the same time: try again'];
    case 400:
    case 422:
      return hasFields ? ['invalid-resource', 'correct it and try again'] : ['refused', undefined];
    default:
      return status >= 500 ? ['server', `see the log of the control plane at ${url}`] : ['refused', undefined];
  }
}
