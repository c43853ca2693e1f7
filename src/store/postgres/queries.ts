import type { ResourceKey } from '../../resources/resource.ts';
import { type Cursor, formatOffset } from '../page.ts';
import type { ListQuery, Page } from '../store.ts';
import { RESOURCE_COLUMNS, type ResourceRow, toResource } from './rows.ts';

/** SQL and its parameters, as the driver takes them. */
export interface Statement {
  readonly text: string;
  readonly values: unknown[];
}

export function getOne(key: ResourceKey): Statement {
  return {
    text: `SELECT ${RESOURCE_COLUMNS} FROM weft_resource WHERE type = $1 AND mesh = $2 AND name = $3`,
    values: [key.type, key.mesh, key.name],
  };
}

/** `type` and `count` of each type that has any. */
export function countTypes(mesh: string | undefined): Statement {
  const where = mesh === undefined ? '' : 'WHERE mesh = $1';
  return {
    text: `SELECT type, count(*) AS count FROM weft_resource ${where} GROUP BY type`,
    values: mesh === undefined ? [] : [mesh],
  };
}

/** Every match of the filters that SQL knows (not `where`), sorted. */
export function listAll(query: ListQuery): Statement {
  const { text, values } = filters(query);
  return { text: `SELECT ${RESOURCE_COLUMNS} FROM weft_resource WHERE ${text} ORDER BY mesh, name`, values };
}

/** A row of `listPage`: the total, and a resource unless the page is empty. */
export type PageRow = { readonly total: string } & (ResourceRow | { readonly [Column in keyof ResourceRow]: null });

/** One page behind `cursor`, one row longer than asked when more follow, and the number of matches, all of one instant. */
export function listPage(query: ListQuery, cursor: Cursor | undefined): Statement {
  const { text, values } = filters(query);
  const parameter = (value: unknown) => `$${values.push(value)}`;
  const behind =
    cursor === undefined ? '' : `AND (mesh, name) > (${parameter(cursor.mesh)}, ${parameter(cursor.name)})`;
  const limit = query.size === undefined ? '' : `LIMIT ${parameter(Math.max(1, query.size) + 1)}`;
  return {
    text: `
      SELECT counted.total, page.* FROM (SELECT count(*) AS total FROM weft_resource WHERE ${text}) AS counted
      LEFT JOIN (
        SELECT ${RESOURCE_COLUMNS} FROM weft_resource WHERE ${text} ${behind} ORDER BY mesh, name ${limit}
      ) AS page ON true ORDER BY page.mesh, page.name`,
    values,
  };
}

/** The page that `listPage` gave for `size`. */
export function toPage(rows: readonly PageRow[], size: number | undefined): Page {
  const total = Number(rows[0]?.total ?? 0);
  const found = rows.filter(isResource);
  const items = found.slice(0, size === undefined ? found.length : Math.max(1, size)).map(toResource);
  const last = items.at(-1);
  return items.length < found.length && last !== undefined
    ? { items, total, next: formatOffset(last.meta) }
    : { items, total };
}

function isResource(row: PageRow): row is { readonly total: string } & ResourceRow {
  return row.type !== null;
}

/** Conditions that all must hold, with their parameters from $1 on. */
function filters(query: ListQuery): Statement {
  const values: unknown[] = [];
  const parameter = (value: unknown) => `$${values.push(value)}`;
  const conditions = [`type = ${parameter(query.type)}`];
  if (query.mesh !== undefined) conditions.push(`mesh = ${parameter(query.mesh)}`);
  if (query.nameContains !== undefined) conditions.push(`strpos(name, ${parameter(query.nameContains)}) > 0`);
  if (query.labels !== undefined) conditions.push(`labels @> ${parameter(JSON.stringify(query.labels))}::jsonb`);
  return { text: conditions.join(' AND '), values };
}
