import { z } from "zod";
import type { Queryable } from "../../../lib/postgres.ts";
import { limitField, momentField, optionalOf, ROWS_SHOWN, textField } from "../read-query.ts";

/** A row of the record. */
export interface AuditListed {
  readonly id: string;
  readonly at: Date;
  readonly runId: string | null;
  readonly event: string;
  readonly actor: string;
  readonly namespace: string | null;
  readonly app: string | null;
  readonly target: string | null;
  readonly action: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly correlationId: string | null;
  readonly traceId: string | null;
  /** Undefined: older than the chain. */
  readonly hash: string | null;
}

const filterFields = {
  run: optionalOf(textField(100)),
  event: optionalOf(textField(60)),
  actor: optionalOf(textField(200)),
  namespace: optionalOf(textField(100)),
  app: optionalOf(textField(253)),
  from: optionalOf(momentField),
  to: optionalOf(momentField),
  after: optionalOf(
    z.string("must be given once").regex(/^\d{1,18}$/, "must be the `next` of a list"),
  ),
};

export const auditFilterSchema = z.strictObject({ ...filterFields, limit: optionalOf(limitField) });
export const exportFilterSchema = z.strictObject({
  ...filterFields,
  format: z.enum(["csv", "json"], "must be csv or json"),
});

export type AuditFilter = z.output<typeof auditFilterSchema>;

/** Rows behind `after`, the newest first. */
export async function readAudit(
  filter: Omit<AuditFilter, "limit">,
  limit: number,
  db: Queryable,
): Promise<readonly AuditListed[]> {
  const { where, values } = conditionsOf(filter);
  const { rows } = await db.query<AuditListed>(
    `SELECT id, ts AS at, run_id AS "runId", event, actor, namespace, app, target, action, detail,
            correlation_id AS "correlationId", trace_id AS "traceId", hash
       FROM runbooks_audit ${where} ORDER BY id DESC LIMIT ${limit}`,
    values,
  );
  return rows;
}

export async function findAudit(
  filter: AuditFilter,
  db: Queryable,
): Promise<{ readonly rows: readonly AuditListed[]; readonly next: string | undefined }> {
  const limit = filter.limit ?? ROWS_SHOWN;
  const found = await readAudit(filter, limit + 1, db);
  const rows = found.slice(0, limit);
  return { rows, next: found.length > limit ? rows.at(-1)?.id : undefined };
}

function conditionsOf(filter: Omit<AuditFilter, "limit">) {
  const values: unknown[] = [];
  const place = (value: unknown) => `$${values.push(value)}`;
  const { run, event, actor, namespace, app, from, to, after } = filter;
  const conditions = [
    ...(run === undefined ? [] : [`run_id = ${place(run)}`]),
    ...(event === undefined ? [] : [`event = ${place(event)}`]),
    ...(actor === undefined ? [] : [`actor = ${place(actor)}`]),
    ...(namespace === undefined ? [] : [`namespace = ${place(namespace)}`]),
    ...(app === undefined ? [] : [`app = ${place(app)}`]),
    ...(from === undefined ? [] : [`ts >= ${place(from)}`]),
    ...(to === undefined ? [] : [`ts < ${place(to)}`]),
    ...(after === undefined ? [] : [`id < ${place(after)}::bigint`]),
  ];
  return { where: conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`, values };
}

/** What the service found out about the chain of hashes, when it looked last. */
export interface ChainFacts {
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly rows: string;
  readonly chains: string;
  readonly problems: number;
  /** Of the newest checkpoint; null where none was made. */
  readonly checkpoint: string | null;
}

/** Undefined when nobody has looked yet. */
export async function chainFacts(db: Queryable): Promise<ChainFacts | undefined> {
  const { rows } = await db.query<ChainFacts>(
    `SELECT started_at AS "startedAt", finished_at AS "finishedAt", coalesce(rows, 0)::text AS rows,
            coalesce(chains, 0)::text AS chains,
            CASE WHEN jsonb_typeof(problems) = 'array' THEN jsonb_array_length(problems) ELSE 0 END AS problems,
            (SELECT c.number::text FROM audit_checkpoints c ORDER BY c.number DESC LIMIT 1) AS checkpoint
       FROM audit_checks WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1`,
  );
  return rows[0];
}
