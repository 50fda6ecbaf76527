import { randomUUID } from "node:crypto";
import type { Queryable } from "../../lib/postgres.ts";
import type { Batched, StoredEvent } from "./types.ts";
import { utcColumn } from "../utc-column.ts";

/** What the platform's own events stand under. */
const SYSTEM_NAMESPACE = "fettle-system";
const COMPONENT = "fettle-hypervisor";

const EVENT = `id, lower(name) || '.' || left(key, 16) AS name, namespace, type, reason, message, component,
  kind AS involved_object_kind, name AS involved_object_name, ${utcColumn("first_at", { as: "first_timestamp" })},
  ${utcColumn("last_at", { as: "last_timestamp" })}, count::float8 AS count`;

/** Adds to rows that are there; one that has expired begins anew. @returns the rows as they are now */
export async function storeEvents(
  database: Queryable,
  batch: readonly Batched[],
  ttlSeconds: number,
): Promise<readonly StoredEvent[]> {
  const column = (of: (each: Batched) => unknown) => batch.map(of);
  const { rows } = await database.query<StoredEvent>(
    `INSERT INTO hypervisor_events AS old
       (key, id, organization, namespace, type, reason, message, component, kind, name, username, count, first_at, last_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                          $9::text[], $10::text[], $11::text[], $12::bigint[], $13::timestamptz[], $14::timestamptz[])
      ORDER BY 1
     ON CONFLICT (key) DO UPDATE
        SET count = excluded.count + CASE WHEN old.last_at < now() - make_interval(secs => $15) THEN 0 ELSE old.count END,
            first_at = CASE WHEN old.last_at < now() - make_interval(secs => $15) THEN excluded.first_at ELSE old.first_at END,
            id = CASE WHEN old.last_at < now() - make_interval(secs => $15) THEN excluded.id ELSE old.id END,
            last_at = greatest(old.last_at, excluded.last_at)
     RETURNING ${EVENT}`,
    [
      column(({ key }) => key),
      column(() => randomUUID()),
      column(({ event }) => (event.namespace === "" ? null : event.namespace)),
      column(({ event }) => (event.namespace === "" ? SYSTEM_NAMESPACE : event.namespace)),
      column(({ event }) => event.type),
      column(({ event }) => event.reason),
      column(({ event }) => event.message),
      column(() => COMPONENT),
      column(({ event }) => event.kind),
      column(({ event }) => event.name),
      column(({ event }) => event.username ?? null),
      column(({ count }) => count),
      column(({ first }) => first.toISOString()),
      column(({ last }) => last.toISOString()),
      ttlSeconds,
    ],
  );
  return rows;
}

export interface EventQuery {
  readonly type?: string | undefined;
  readonly component?: string | undefined;
  readonly namespace?: string | undefined;
  readonly limit: number;
  /** From 1. */
  readonly page: number;
}

/** Whose events are shown. */
export interface EventViewer {
  /** Undefined: all, and the platform's own. */
  readonly organization: string | undefined;
  /** Only what this person did. */
  readonly username: string | undefined;
}

/** The newest first. */
export async function findEvents(
  database: Queryable,
  { type, component, namespace, limit, page }: EventQuery,
  { organization, username }: EventViewer,
  ttlSeconds: number,
): Promise<{ readonly events: readonly StoredEvent[]; readonly total: number }> {
  const condition = `last_at >= now() - make_interval(secs => $1)
    AND ($2::text IS NULL OR organization = $2) AND ($3::text IS NULL OR username = $3)
    AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR component = $5) AND ($6::text IS NULL OR namespace = $6)`;
  const filters = [organization, username, type, component, namespace].map((each) => each ?? null);
  const { rows: counted } = await database.query<{ total: number }>(
    `SELECT count(*)::float8 AS total FROM hypervisor_events WHERE ${condition}`,
    [ttlSeconds, ...filters],
  );
  const { rows } = await database.query<StoredEvent>(
    `SELECT ${EVENT} FROM hypervisor_events WHERE ${condition} ORDER BY last_at DESC, key LIMIT $7 OFFSET $8`,
    [ttlSeconds, ...filters, limit, (page - 1) * limit],
  );
  return { events: rows, total: counted[0]?.total ?? 0 };
}

const ROWS_MAX = 10_000;

export async function sweepEvents(database: Queryable, ttlSeconds: number): Promise<void> {
  await database.query(
    `DELETE FROM hypervisor_events WHERE key IN
       (SELECT key FROM hypervisor_events WHERE last_at < now() - make_interval(secs => $1) LIMIT ${ROWS_MAX})`,
    [ttlSeconds],
  );
}
