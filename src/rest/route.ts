import type { Action, User } from '../auth/access.ts';

/** One HTTP request, as a handler sees it. */
export interface Call {
  /** Decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly user: User;
  /** `http://host:port` as the client sees it, for links. */
  readonly origin: string;
  /** Path without query, as sent. */
  readonly path: string;
  /** Parses the JSON body. Throws a 400 `Problem` when there is none or it is not acceptable. */
  body(): unknown;
  /** Throws `AccessDenied`. Called for the handler before it runs, unless the route's access is `late`. */
  authorize(): void;
}

export type Answer =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly contentType: string; readonly content: string | Buffer };

/**
 * Who may call a route. Every route says it, and the server sees to it: there is no route without a check.
 * `public`: not even looked at who calls. `everyone`: a caller, known or anonymous. Otherwise the rule of that action decides;
 * `what` ends the sentence `user "x" cannot access ...`. `late`: the handler calls `authorize` at its own stage (PUT checks the body first).
 */
export type RouteAccess =
  | { readonly rule: 'public' | 'everyone' }
  | { readonly rule: Action; readonly what: string; readonly late?: boolean };

/** What the OpenAPI document says of a route beyond its path. Schemas are names of components or JSON Schema. */
export interface RouteDocument {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly query?: readonly QueryParameter[];
  readonly body?: JsonSchema;
  readonly answer?: JsonSchema;
  /** Content type of a 200 that is not JSON. */
  readonly answerType?: string;
  /** Status codes and what they mean, beyond 200 and the common errors. */
  readonly statuses?: Readonly<Record<number, string>>;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface QueryParameter {
  readonly name: string;
  readonly description: string;
  readonly schema: JsonSchema;
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** With `{name}` parameters, as in OpenAPI. */
  readonly path: string;
  readonly access: RouteAccess;
  readonly document: RouteDocument;
  handle(call: Call): Promise<Answer>;
}

export const EVERYONE: RouteAccess = { rule: 'everyone' };
export const json = (value: unknown, status = 200): Answer => ({ status, json: value });
