import { z } from 'zod';
import type { Kind } from '../resources/kind.ts';
import type { Registry } from '../resources/registry.ts';
import { servedKinds } from './kind-traits.ts';
import type { JsonSchema, Route } from './route.ts';

/**
 * OpenAPI 3.1 document of these routes. Bodies come from the kinds' own schemas, so it can't say anything else than the program does.
 * Pure: same routes and kinds, same document.
 */
export function openApiDocument(routes: readonly Route[], registry: Registry, version: string): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weft control plane',
      version,
      description: 'Resources, insights and tokens of a service mesh. Compatible with the API of Kuma 2.11 to 2.14.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{}, { userToken: [] }],
    tags: [...new Set(routes.map((route) => route.document.tag))].sort().map((name) => ({ name, description: name })),
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))),
    components: {
      securitySchemes: {
        userToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A user token. Direct calls from the same machine need none.',
        },
      },
      schemas: componentSchemas(registry),
      responses: { Problem: { description: 'Refused; the body says why', content: jsonContent(ref('Problem')) } },
    },
  };
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const jsonContent = (schema: unknown) => ({ 'application/json': { schema } });

function operation(route: Route): JsonSchema {
  const { id, summary, tag, query = [], body, answer, answerType, statuses = {} } = route.document;
  const pathParameters = [...route.path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const content = answerType
    ? { [answerType]: { schema: { type: 'string' } } }
    : jsonContent(answer ?? { type: 'object' });
  const other = Object.entries(statuses).map(([status, description]) => [
    status,
    Number(status) < 300 ? { description, content } : { $ref: '#/components/responses/Problem' },
  ]);
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(pathParameters.length + query.length > 0
      ? { parameters: [...pathParameters, ...query.map((parameter) => ({ in: 'query', ...parameter }))] }
      : {}),
    ...(body ? { requestBody: { required: true, content: jsonContent(body) } } : {}),
    responses: {
      200: { description: 'OK', content },
      ...Object.fromEntries(other),
      '4XX': { $ref: '#/components/responses/Problem' },
    },
    ...(route.access.rule === 'public' ? { security: [] } : {}),
  };
}

function componentSchemas(registry: Registry): JsonSchema {
  const schemas: Record<string, unknown> = { Problem: PROBLEM, Changed: CHANGED };
  for (const kind of servedKinds(registry)) {
    schemas[kind.type] = kindSchema(kind);
    schemas[`${kind.type}List`] = listSchema(ref(kind.type));
  }
  return schemas;
}

/** A resource as REST shows it: metadata, then the spec's fields beside it (old model) or under `spec` (new model). */
function kindSchema(kind: Kind): JsonSchema {
  const spec = toJsonSchema(kind.schema);
  const own =
    kind.model === 'spec' ? { spec, ...(kind.statusSchema ? { status: toJsonSchema(kind.statusSchema) } : {}) } : {};
  const inline = kind.model === 'inline' ? (spec['properties'] as JsonSchema | undefined) : undefined;
  return {
    type: 'object',
    required: ['type', 'name', ...(kind.scope === 'Mesh' ? ['mesh'] : []), ...(kind.model === 'spec' ? ['spec'] : [])],
    properties: {
      type: { type: 'string', const: kind.type },
      ...(kind.scope === 'Mesh' ? { mesh: { type: 'string' } } : {}),
      name: { type: 'string' },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
      creationTime: { type: 'string', format: 'date-time', readOnly: true },
      modificationTime: { type: 'string', format: 'date-time', readOnly: true },
      ...own,
      ...inline,
    },
  };
}

function toJsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

function listSchema(item: JsonSchema): JsonSchema {
  return {
    type: 'object',
    required: ['total', 'items', 'next'],
    properties: {
      total: { type: 'integer' },
      items: { type: 'array', items: item },
      next: { type: ['string', 'null'], description: 'URL of the next page' },
    },
  };
}

const CHANGED: JsonSchema = {
  type: 'object',
  properties: { warnings: { type: 'array', items: { type: 'string' } } },
};

const FIELD_LIST = (reason: string): JsonSchema => ({
  type: 'array',
  items: {
    type: 'object',
    required: ['field', reason],
    properties: { field: { type: 'string' }, [reason]: { type: 'string' } },
  },
});

const PROBLEM: JsonSchema = {
  type: 'object',
  required: ['type', 'status', 'title', 'detail'],
  properties: {
    type: { type: 'string', const: '/std-errors' },
    status: { type: 'integer' },
    title: { type: 'string' },
    detail: { type: 'string' },
    instance: { type: 'string' },
    invalid_parameters: FIELD_LIST('reason'),
    details: { type: 'string', deprecated: true },
    causes: { ...FIELD_LIST('message'), deprecated: true },
  },
};
