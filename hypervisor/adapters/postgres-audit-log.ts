import type { Queryable } from "../../lib/postgres.ts";
import type { AuditEntry, AuditLog, AuditQuery } from "../types.ts";

interface Row {
  readonly id: string;
  readonly timestamp: string;
  readonly user: string;
  readonly action: string;
  readonly resource_type: string;
  readonly resource_id: string;
  readonly correlation_id: string | null;
  readonly details: string;
}

/** A target is `cluster/namespace/kind/name`; the kind is what the API calls the resource's type. */
const RESOURCE_TYPE = "coalesce(nullif(split_part(target, '/', 3), ''), 'run')";
const FILTER = `($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR ${RESOURCE_TYPE} = $2)`;

/** The audit log in Postgres, newest first. */
export function postgresAuditLog(database: Queryable): AuditLog {
  return {
    find: async ({ user, resource_type, limit }: AuditQuery) => {
      const filter = [user, resource_type];
      const count = await database.query<{ total: number }>(
        `SELECT count(*)::float8 AS total FROM runbooks_audit WHERE ${FILTER}`,
        filter,
      );
      const { rows } = await database.query<Row>(
        `SELECT id::text AS id,
           to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS timestamp,
           actor AS user, event AS action, ${RESOURCE_TYPE} AS resource_type,
           coalesce(target, run_id, '') AS resource_id, correlation_id, detail::text AS details
         FROM runbooks_audit WHERE ${FILTER} ORDER BY runbooks_audit.id DESC LIMIT $3`,
        [...filter, limit],
      );
      return { total: count.rows[0]?.total ?? 0, logs: rows.map(entryOf) };
    },
  };
}

function entryOf(row: Row): AuditEntry {
  return { ...row, result: resultOf(row.action), ip_address: null };
}

function resultOf(event: string): AuditEntry["result"] {
  if (/^(failed|plan_stale|unknown)$/.test(event)) return "Failure";
  return /^(rejected|expired|skipped_)/.test(event) ? "Refused" : "Success";
}
