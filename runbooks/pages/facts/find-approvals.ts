import { z } from "zod";
import type { Queryable } from "../../../lib/postgres.ts";
import { cursorField, limitField, optionalOf, ROWS_SHOWN } from "../read-query.ts";

/** A request as lists show it. */
export interface ApprovalListed {
  readonly id: string;
  readonly runId: string;
  readonly state: string;
  readonly namespace: string;
  readonly app: string;
  readonly plan: string | null;
  readonly dryRun: boolean;
  readonly quorum: number;
  readonly votes: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly decidedBy: string | null;
  /** What `after` must be for those behind it. */
  readonly cursor: string;
}

const APPROVAL_STATES = ["pending", "decided"] as const;

export const approvalFilterSchema = z.strictObject({
  state: optionalOf(z.enum(APPROVAL_STATES, `must be one of ${APPROVAL_STATES.join(", ")}`)),
  limit: optionalOf(limitField),
  after: optionalOf(cursorField),
});

export type ApprovalFilter = z.output<typeof approvalFilterSchema>;

const PENDING = "a.state = 'pending' AND a.expires_at > now() AND r.finished_at IS NULL";

/** Waiting requests, those that expire first at the top; or decided ones, the newest at the top. */
export async function findApprovals(
  { state = "pending", limit = ROWS_SHOWN, after }: ApprovalFilter,
  db: Queryable,
): Promise<{ readonly approvals: readonly ApprovalListed[]; readonly next: string | undefined }> {
  const waiting = state === "pending";
  const [column, order] = waiting ? ["a.expires_at", "ASC"] : ["a.created_at", "DESC"];
  const behind =
    after === undefined
      ? ""
      : `AND (${column}, a.id) ${waiting ? ">" : "<"} (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2)`;
  const { rows } = await db.query<ApprovalListed>(
    `SELECT a.id, a.run_id AS "runId", r.namespace, r.app, r.plan->>'summary' AS plan, a.quorum, a.created_at AS "createdAt",
            coalesce((r.plan->>'dryRun')::boolean, false) AS "dryRun", a.expires_at AS "expiresAt", a.decided_by AS "decidedBy",
            (SELECT count(*)::int FROM approval_votes v WHERE v.approval_id = a.id AND v.verdict = 'approved') AS votes,
            CASE WHEN a.state = 'pending' AND a.expires_at <= now() THEN 'expired' ELSE a.state END AS state,
            (extract(epoch FROM ${column}) * 1000000)::bigint || '.' || a.id AS cursor
       FROM approvals a JOIN runs r ON r.id = a.run_id
      WHERE ${waiting ? PENDING : `NOT (${PENDING})`} ${behind}
      ORDER BY ${column} ${order}, a.id ${order} LIMIT ${limit + 1}`,
    after === undefined ? [] : [after.micros, after.id],
  );
  const approvals = rows.slice(0, limit);
  const last = rows.length > limit ? approvals.at(-1) : undefined;
  return { approvals, next: last?.cursor };
}
