import type { Queryable } from "../../lib/postgres.ts";
import { findCollection } from "../collect/find.ts";
import { findRun } from "../ledger.ts";
import type { BreakerLimits } from "../types/breaker.ts";
import type { Collection } from "../types/collect.ts";
import type { Run } from "../types/run.ts";

/** The newest request of a run. */
export interface ApprovalNews {
  readonly id: string;
  readonly planHash: string;
  readonly state: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly decidedBy: string | undefined;
  readonly decidedAt: Date | undefined;
  readonly reason: string | undefined;
  /** How many different people must say yes, and who did so far. */
  readonly quorum: number;
  readonly approvers: readonly string[];
  readonly votes: readonly string[];
}

/** Everything that people are told about a run, whoever tells them: the channels and the run's page say the same. */
export interface RunNews {
  readonly run: Run;
  /** One sentence, once it has ended. */
  readonly outcome: string | undefined;
  readonly finishedAt: Date | undefined;
  readonly alerts: {
    readonly firing: number;
    readonly all: number;
    readonly since: Date | undefined;
  };
  readonly approval: ApprovalNews | undefined;
  /** Actions on the target in the last hour and day; undefined limits when no decision was made. */
  readonly breaker: {
    readonly hour: number;
    readonly day: number;
    readonly limits: BreakerLimits | undefined;
  };
  /** The diagnostics that were gathered for it; undefined when none were ordered. */
  readonly collection: Collection | undefined;
  /** What became of the target's runs before, the newest first. */
  readonly before: readonly { readonly state: string; readonly finishedAt: Date }[];
}

/** Undefined for a run that does not exist. Reads only; each part as it is now. */
export async function composeRun(runId: string, db: Queryable): Promise<RunNews | undefined> {
  const run = await findRun(runId, db);
  if (run === undefined) return undefined;
  const { rows } = await db.query<RunPartsRow>(RUN_PARTS, [run.id, run.targetKey]);
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    run,
    outcome: row.outcome ?? undefined,
    finishedAt: row.finished_at ?? undefined,
    alerts: { firing: row.firing, all: row.episodes, since: row.since ?? undefined },
    approval: await approvalOf(run.id, row, db),
    breaker: { hour: row.used_hour, day: row.used_day, limits: row.limits ?? undefined },
    collection: await findCollection(run.id, db),
    before: await runsBefore(run, db),
  };
}

interface RunPartsRow {
  readonly outcome: string | null;
  readonly finished_at: Date | null;
  readonly approvers: readonly string[] | null;
  readonly limits: BreakerLimits | null;
  readonly firing: number;
  readonly episodes: number;
  readonly since: Date | null;
  readonly used_hour: number;
  readonly used_day: number;
}

const RUN_PARTS = `
  SELECT r.outcome, r.finished_at, r.decision #> '{input,switches,limits}' AS limits,
         coalesce(r.decision #> '{verdict,approval,approvers}', r.decision #> '{input,switches,approvers}') AS approvers,
         e.firing, e.episodes, e.since, s.used_hour, s.used_day
    FROM runs r,
         (SELECT count(*) FILTER (WHERE resolved_at IS NULL)::int AS firing, count(*)::int AS episodes,
                 min(first_starts_at) AS since FROM episodes WHERE run_id = $1) e,
         (SELECT count(*) FILTER (WHERE taken_at > now() - interval '1 hour')::int AS used_hour,
                 count(*)::int AS used_day
            FROM breaker_slots WHERE app_key = $2 AND taken_at > now() - interval '1 day') s
   WHERE r.id = $1`;

interface ApprovalRow {
  readonly id: string;
  readonly plan_hash: string;
  readonly state: string;
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
  readonly reason: string | null;
  readonly quorum: number;
  readonly approvers: readonly string[];
  readonly votes: readonly string[];
}

async function approvalOf(
  runId: string,
  { approvers }: RunPartsRow,
  db: Queryable,
): Promise<ApprovalNews | undefined> {
  const { rows } = await db.query<ApprovalRow>(
    `SELECT id, plan_hash, created_at, expires_at, decided_by, decided_at, reason, quorum, approvers,
            ARRAY(SELECT person FROM approval_votes v
                   WHERE v.approval_id = approvals.id AND verdict = 'approved' ORDER BY at) AS votes,
            CASE WHEN state = 'pending' AND expires_at <= now() THEN 'expired' ELSE state END AS state
       FROM approvals WHERE run_id = $1 ORDER BY created_at DESC LIMIT 1`,
    [runId],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    id: row.id,
    planHash: row.plan_hash,
    state: row.state,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    decidedBy: row.decided_by ?? undefined,
    decidedAt: row.decided_at ?? undefined,
    reason: row.reason ?? undefined,
    quorum: row.quorum,
    approvers: row.approvers.length > 0 ? row.approvers : (approvers ?? []),
    votes: row.votes,
  };
}

const BEFORE_SHOWN = 3;

/** Only those that did something, or tried to. */
async function runsBefore(run: Run, db: Queryable): Promise<RunNews["before"]> {
  const { rows } = await db.query<{ state: string; finished_at: Date }>(
    `SELECT state, finished_at FROM runs
      WHERE target_key = $1 AND id <> $2 AND finished_at <= now() AND created_at <= $3
        AND state IN ('succeeded', 'failed', 'unknown')
      ORDER BY finished_at DESC LIMIT ${BEFORE_SHOWN}`,
    [run.targetKey, run.id, run.createdAt],
  );
  return rows.map(({ state, finished_at: finishedAt }) => ({ state, finishedAt }));
}
