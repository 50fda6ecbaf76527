import type { Queryable } from "../../lib/postgres.ts";
import type { AuditEntry, AuditLog, AuditQuery } from "../types.ts";

interface Row {
  readonly id: string;
  readonly timestamp: string;
  readonly user: string;
  readonly action: string;
  readonly resource_type: string;
  readonly target: string | null;
  readonly run_id: string | null;
  readonly correlation_id: string | null;
  readonly details: string;
}

/** What this service writes into a row's detail; see frame/record.ts. */
interface OwnDetail {
  readonly resource_id: string;
  readonly result: AuditEntry["result"];
  readonly summary: string;
  readonly ip: string;
}

/** A target is `cluster/namespace/kind/name`; the kind is what the API calls the resource's type. It has an index. */
const RESOURCE_TYPE = "coalesce(nullif(split_part(target, '/', 3), ''), 'run')";
/** Rows of other services may be about a namespace that is called like an organization: they are nobody's but ours. */
const OWN = "(detail ? 'resource_type')";
/** Counting takes longer than showing: each counted row is read, and the newest hundred are next to each other. */
const COUNTED_MAX = 1_000;

/** The audit log in Postgres, newest first. */
export function postgresAuditLog(database: Queryable): AuditLog {
  return {
    find: async (query) => {
      const [total, rows] = await Promise.all([
        countRows(database, query),
        findRows(database, query),
      ]);
      const more = rows.length > query.limit;
      const logs = rows.slice(0, query.limit).map(entryOf);
      return {
        total: Math.min(total, COUNTED_MAX),
        total_is_capped: total > COUNTED_MAX,
        logs,
        next: more ? (logs.at(-1)?.id ?? null) : null,
      };
    },
  };
}

/** At most one more than are counted. */
async function countRows(database: Queryable, query: AuditQuery): Promise<number> {
  const { filter, values } = filterOf(query);
  const { rows } = await database.query<{ total: number }>(
    `SELECT count(*)::float8 AS total
       FROM (SELECT 1 FROM runbooks_audit WHERE ${filter} LIMIT ${COUNTED_MAX + 1}) AS found`,
    values,
  );
  return rows[0]?.total ?? 0;
}

async function findRows(database: Queryable, query: AuditQuery): Promise<readonly Row[]> {
  const { filter, values } = filterOf(query);
  const before = query.before === undefined ? "" : `AND id < $${values.length + 2}`;
  const { rows } = await database.query<Row>(
    `SELECT id::text AS id,
       to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS timestamp,
       actor AS user, event AS action, ${RESOURCE_TYPE} AS resource_type,
       target, run_id, correlation_id, detail::text AS details
     FROM runbooks_audit WHERE ${filter} ${before} ORDER BY runbooks_audit.id DESC LIMIT $${values.length + 1}`,
    [...values, query.limit + 1, ...(query.before === undefined ? [] : [query.before])],
  );
  return rows;
}

/** Only what is asked for stands in the statement, so that each has an index to walk. */
function filterOf({ user, resource_type, organization }: AuditQuery) {
  const values: string[] = [];
  const equal = (column: string, value: string | undefined): readonly string[] => {
    if (value === undefined) return [];
    values.push(value);
    return [`${column} = $${values.length}`];
  };
  const parts = [
    ...equal("actor", user),
    ...equal(RESOURCE_TYPE, resource_type),
    ...equal("namespace", organization),
    ...(organization === undefined ? [] : [OWN]),
  ];
  return { filter: parts.length === 0 ? "true" : parts.join(" AND "), values };
}

function entryOf({ target, run_id: run, ...row }: Row): AuditEntry {
  const own = ownDetail(row.details);
  if (own === undefined) {
    return {
      ...row,
      resource_id: target ?? run ?? "",
      result: resultOf(row.action),
      ip_address: null,
    };
  }
  return {
    ...row,
    resource_id: own.resource_id,
    result: own.result,
    ip_address: own.ip,
    details: own.summary,
  };
}

function ownDetail(text: string): OwnDetail | undefined {
  const detail = JSON.parse(text) as Partial<OwnDetail> & { readonly resource_type?: unknown };
  return detail.resource_type === undefined ? undefined : (detail as OwnDetail);
}

function resultOf(event: string): AuditEntry["result"] {
  if (/^(failed|plan_stale|unknown)$/.test(event)) return "Failure";
  return /^(rejected|expired|skipped_)/.test(event) ? "Refused" : "Success";
}
