import type { Queryable } from "../../lib/postgres.ts";
import type { AuditProblem } from "./chain.ts";

/** What the service knows of its record. */
export interface AuditStatus {
  /** Everything written before this was recomputed and found sound; null: never, or not since something was found. */
  readonly verifiedUpTo: Date | null;
  /** When somebody looked last, and what was found. */
  readonly checkedAt: Date | null;
  readonly rows: number;
  readonly problems: readonly AuditProblem[];
  /** The newest checkpoint. */
  readonly checkpoint: string | null;
  readonly checkpointAt: Date | null;
}

/** From the checks that the executor makes every hour; it recomputes nothing itself. */
export async function auditStatus(db: Queryable): Promise<AuditStatus> {
  const { rows } = await db.query<AuditStatus>(
    `SELECT CASE WHEN c.problems = '[]' THEN c.started_at END AS "verifiedUpTo", c.finished_at AS "checkedAt",
            coalesce(c.rows, 0)::float8 AS rows, coalesce(c.problems, '[]') AS problems,
            p.number::text AS checkpoint, p.at AS "checkpointAt"
       FROM (SELECT 1) one
       LEFT JOIN LATERAL (SELECT * FROM audit_checks WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1) c ON true
       LEFT JOIN LATERAL (SELECT * FROM audit_checkpoints ORDER BY number DESC LIMIT 1) p ON true`,
  );
  const [status] = rows;
  if (status === undefined) throw new Error("the record's status returned no row");
  return status;
}
