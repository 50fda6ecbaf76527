import { newId } from "../../lib/id.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import type { BacktestReport } from "./replay.ts";

const KEPT = 200;
const LISTED = 50;

/** A backtest as a list shows it. */
export interface KeptBacktest {
  readonly id: string;
  readonly createdAt: Date;
  readonly by: string;
  readonly days: number;
  readonly alerts: number;
  readonly actions: number;
  /** Under the policy that was in force then. */
  readonly actionsBefore: number;
}

export interface FoundBacktest extends Pick<KeptBacktest, "id" | "createdAt" | "by" | "days"> {
  /** As it was pasted. */
  readonly policy: string;
  readonly report: BacktestReport;
}

/** Keeps a report among the newest 200. Returns its id. */
export async function keepBacktest(
  kept: Pick<FoundBacktest, "by" | "days" | "policy" | "report">,
  database: Database,
): Promise<string> {
  const id = newId("bt");
  await database.inTransaction(async (tx) => {
    await tx.query(
      "INSERT INTO policy_backtests (id, by_whom, days, policy, report) VALUES ($1, $2, $3, $4, $5)",
      [id, kept.by, kept.days, kept.policy, JSON.stringify(kept.report)],
    );
    await tx.query(
      `DELETE FROM policy_backtests WHERE id IN
         (SELECT id FROM policy_backtests ORDER BY created_at DESC, id DESC OFFSET ${KEPT})`,
    );
  });
  return id;
}

/** The newest first. */
export async function listBacktests(db: Queryable): Promise<readonly KeptBacktest[]> {
  const { rows } = await db.query<KeptBacktest>(
    `SELECT id, created_at AS "createdAt", by_whom AS by, days, (report #>> '{policy,tally,alerts}')::int AS alerts,
            (report #>> '{policy,tally,actions}')::int AS actions,
            coalesce((report #>> '{against,tally,actions}')::int, 0) AS "actionsBefore"
       FROM policy_backtests ORDER BY created_at DESC, id DESC LIMIT ${LISTED}`,
  );
  return rows;
}

export async function findBacktest(id: string, db: Queryable): Promise<FoundBacktest | undefined> {
  const { rows } = await db.query<FoundBacktest>(
    `SELECT id, created_at AS "createdAt", by_whom AS by, days, policy, report
       FROM policy_backtests WHERE id = $1`,
    [id],
  );
  return rows[0];
}
