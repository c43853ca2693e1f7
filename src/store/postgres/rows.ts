import type { Resource, ResourceKey } from '../../resources/resource.ts';
import { freezeParsed } from '../frozen.ts';
import type { Outcome } from '../plan-writes.ts';

/** Columns of a resource as `toResource` reads them; `labels` is parsed by the driver. */
export const RESOURCE_COLUMNS = 'type, mesh, name, version, creation_time, modification_time, labels, spec, status';

export interface ResourceRow {
  readonly type: string;
  readonly mesh: string;
  readonly name: string;
  /** bigint, as the driver gives it. */
  readonly version: string;
  readonly creation_time: string;
  readonly modification_time: string;
  readonly labels: Record<string, string>;
  readonly spec: string;
  readonly status: string | null;
}

export function toResource(row: ResourceRow): Resource {
  return freezeParsed({
    type: row.type,
    meta: {
      mesh: row.mesh,
      name: row.name,
      labels: row.labels,
      creationTime: row.creation_time,
      modificationTime: row.modification_time,
      version: row.version,
    },
    spec: JSON.parse(row.spec) as unknown,
    ...(row.status !== null && { status: JSON.parse(row.status) as unknown }),
  });
}

/** PostgreSQL has no NUL in text: a key with one cannot be stored, and nothing with one can be found. */
export function holdsNul(...texts: (string | undefined)[]): boolean {
  return texts.some((text) => text?.includes('\u0000'));
}

/** Keys as the three arrays that `unnest($1::text[], $2::text[], $3::text[])` takes. */
export function keyArrays(keys: readonly ResourceKey[]): [string[], string[], string[]] {
  return [keys.map((key) => key.type), keys.map((key) => key.mesh), keys.map((key) => key.name)];
}

/**
 * Writes the outcomes of a transaction and tells the listeners: $1-$9 the columns of what stays, $10-$13 keys and versions of what is deleted.
 * Nobody is told when nothing changed.
 */
export const WRITE_OUTCOMES = `
  WITH upserted AS (
    INSERT INTO weft_resource (${RESOURCE_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::jsonb[], $8::text[], $9::text[])
    ON CONFLICT (type, mesh, name) DO UPDATE SET version = excluded.version, creation_time = excluded.creation_time,
      modification_time = excluded.modification_time, labels = excluded.labels, spec = excluded.spec, status = excluded.status
  ), gone AS (
    SELECT * FROM unnest($10::text[], $11::text[], $12::text[], $13::bigint[]) AS gone (type, mesh, name, version)
  ), deleted AS (
    DELETE FROM weft_resource r USING gone WHERE (r.type, r.mesh, r.name) = (gone.type, gone.mesh, gone.name)
  ), buried AS (
    INSERT INTO weft_tombstone (version, type, mesh, name) SELECT version, type, mesh, name FROM gone
  )
  SELECT pg_notify('weft_change', '')`;

/** Parameters of `WRITE_OUTCOMES`. */
export function writeParameters(outcomes: Iterable<Outcome>): unknown[][] {
  const kept: Resource[] = [];
  const gone: { key: ResourceKey; version: number }[] = [];
  for (const { key, version, resource } of outcomes) {
    if (resource === undefined) gone.push({ key, version });
    else kept.push(resource);
  }
  return [
    kept.map((one) => one.type),
    kept.map((one) => one.meta.mesh),
    kept.map((one) => one.meta.name),
    kept.map((one) => one.meta.version),
    kept.map((one) => one.meta.creationTime),
    kept.map((one) => one.meta.modificationTime),
    kept.map((one) => JSON.stringify(one.meta.labels)),
    kept.map((one) => JSON.stringify(one.spec ?? null)),
    kept.map((one) => (one.status === undefined ? null : JSON.stringify(one.status))),
    ...keyArrays(gone.map((one) => one.key)),
    gone.map((one) => one.version),
  ];
}
