import { sha256Hex } from "../../lib/canonical.ts";

/** A row of the record as its hash is made of it: every column as PostgreSQL writes it. Null is SQL's NULL. */
export interface AuditRow {
  readonly chain: string | null;
  /** Its place in the chain, from 1. */
  readonly chain_row: string | null;
  readonly prev_hash: string | null;
  readonly hash: string | null;
  readonly id: string;
  readonly xid: string;
  /** Microseconds since 1970; `infinity` and `-infinity` exist. */
  readonly ts: string;
  readonly run_id: string | null;
  readonly event: string;
  readonly actor: string;
  readonly namespace: string | null;
  readonly app: string | null;
  readonly target: string | null;
  readonly action: string | null;
  readonly detail: string;
  readonly correlation_id: string | null;
  readonly trace_id: string | null;
}

/** SQL: the columns of {@link AuditRow}, of a table that is called `a`. */
export const auditRowColumns = `a.chain, a.chain_row::text, a.prev_hash, a.hash, a.id::text, a.xid::text,
  CASE WHEN isfinite(a.ts) THEN (extract(epoch FROM a.ts) * 1000000)::bigint::text ELSE a.ts::text END AS ts,
  a.run_id, a.event, a.actor, a.namespace, a.app, a.target, a.action, a.detail::text, a.correlation_id, a.trace_id`;

/**
 * What the row's hash must be: SHA-256 of its columns as a JSON array of texts. The same is computed where it is inserted,
 * by audit_row_hash() in SQL.
 */
export function hashOfRow(row: AuditRow): string {
  const columns = [
    ...[row.chain, row.chain_row, row.prev_hash, row.id, row.xid, row.ts, row.run_id, row.event],
    ...[row.actor, row.namespace, row.app, row.target, row.action, row.detail],
    ...[row.correlation_id, row.trace_id],
  ];
  return sha256Hex(`[${columns.map((column) => JSON.stringify(column)).join(", ")}]`);
}
