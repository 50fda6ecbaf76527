import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import { runColumns, toRun, type RunRow } from "./run-row.ts";
import type { Finding, Plan } from "./types/plan.ts";
import {
  ACTIVE_STATES,
  type AuditEvent,
  type Run,
  type RunRule,
  type RunState,
} from "./types/run.ts";

/** SQL: a job does what is to be done at once; the sweep looks only when it has not come by then. */
export const JOB_GRACE = "interval '5 seconds'";

/** Another worker has taken the run over: stop at once, and write nothing. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

export interface Step {
  readonly state: RunState;
  readonly audit: readonly AuditEvent[];
  readonly plan?: Plan;
  readonly planHash?: string;
  /** The decision record. */
  readonly decision?: object;
  readonly rule?: RunRule;
  readonly policySha256?: string;
  readonly preflight?: readonly Finding[];
  readonly rollback?: string;
  /** One sentence for people, when the run ends. */
  readonly outcome?: string;
  /** When the sweep looks, unless somebody told it before; 5 s when undefined, so that a job comes first. */
  readonly lookAfterSeconds?: number;
}

/**
 * Takes a run for `seconds`; undefined when it has ended or somebody holds it. The token is the fence: it grows with every
 * lease, and each write of a worker names the one that it was given.
 */
export async function leaseRun(
  { id, owner, seconds }: { readonly id: string; readonly owner: string; readonly seconds: number },
  database: Queryable,
): Promise<Run | undefined> {
  const { rows } = await database.query<RunRow>(
    `UPDATE runs SET lease_owner = $2, lease_token = lease_token + 1, lease_until = now() + make_interval(secs => $3)
      WHERE id = $1 AND finished_at IS NULL AND (lease_until IS NULL OR lease_until < now())
      RETURNING ${runColumns}`,
    [id, owner, seconds],
  );
  return rows[0] === undefined ? undefined : toRun(rows[0]);
}

/** @throws LeaseLost */
export async function renewLease(run: Run, seconds: number, database: Queryable): Promise<void> {
  await fenced(
    database,
    "UPDATE runs SET lease_until = now() + make_interval(secs => $3) WHERE id = $1 AND lease_token = $2",
    [run.id, run.leaseToken, seconds],
  );
}

/**
 * Gives the run back, for whoever is next. Does nothing when it has been taken over already.
 *
 * @param lookAfterSeconds when the sweep looks again; as it was planned before when undefined
 */
export async function releaseLease(
  run: Run,
  lookAfterSeconds: number | undefined,
  database: Queryable,
): Promise<void> {
  await database.query(
    `UPDATE runs SET lease_until = NULL, look_at = coalesce(now() + make_interval(secs => $3), look_at)
      WHERE id = $1 AND lease_token = $2`,
    [run.id, run.leaseToken, lookAfterSeconds ?? null],
  );
}

/** Something has happened that waiting runs want to know, also when the jobs that tell them are lost. */
export async function lookNow(tx: Queryable, ...runIds: readonly string[]): Promise<void> {
  await tx.query("UPDATE runs SET look_at = now() WHERE id = ANY ($1) AND finished_at IS NULL", [
    runIds,
  ]);
}

/**
 * Writes down what an action has done so far, so that the next worker goes on behind it. It is no new state.
 *
 * @throws LeaseLost
 */
export async function recordProgress(
  run: Run,
  { progress, audit }: Pick<Run, "progress"> & Pick<Step, "audit">,
  database: Database,
): Promise<void> {
  await database.inTransaction(async (tx) => {
    await fenced(
      tx,
      "UPDATE runs SET progress = $3, updated_at = now() WHERE id = $1 AND lease_token = $2",
      [run.id, run.leaseToken, JSON.stringify(progress)],
    );
    await appendAudit(tx, run, audit);
  });
}

/**
 * Moves a run to its next state, with the audit rows that tell of it and whatever else `decideStep` writes, in one
 * transaction.
 *
 * @throws LeaseLost when the fence, or the run's state, has moved on; then nothing is written
 */
export async function moveRun(
  run: Run,
  decideStep: Step | ((tx: Queryable) => Promise<Step>),
  database: Database,
): Promise<Run> {
  return database.inTransaction(async (tx) => {
    const step = typeof decideStep === "function" ? await decideStep(tx) : decideStep;
    const moved = await setState(tx, run, step);
    await appendAudit(tx, moved, step.audit);
    return moved;
  });
}

async function setState(tx: Queryable, run: Run, step: Step): Promise<Run> {
  const ends = !(ACTIVE_STATES as readonly string[]).includes(step.state);
  const rows = await fenced<RunRow>(
    tx,
    `UPDATE runs SET state = $3, plan = coalesce($5, plan), plan_hash = coalesce($6, plan_hash),
            decision = coalesce($7, decision), rule = coalesce($8, rule),
            policy_sha256 = coalesce($9, policy_sha256), preflight = coalesce($10, preflight),
            rollback = coalesce($11, rollback), outcome = coalesce($12, outcome),
            updated_at = now(), state_since = now(),
            look_at = now() + coalesce(make_interval(secs => $13), ${JOB_GRACE}),
            finished_at = CASE WHEN $14 THEN now() END
      WHERE id = $1 AND lease_token = $2 AND state = $4
      RETURNING ${runColumns}`,
    [
      run.id,
      run.leaseToken,
      step.state,
      run.state,
      json(step.plan),
      step.planHash ?? null,
      json(step.decision),
      json(step.rule),
      step.policySha256 ?? null,
      json(step.preflight),
      step.rollback ?? null,
      step.outcome ?? null,
      step.lookAfterSeconds ?? null,
      ends,
    ],
  );
  return toRun(rows[0] as RunRow);
}

async function fenced<Row extends object>(
  database: Queryable,
  sql: string,
  values: readonly unknown[],
): Promise<Row[]> {
  const { rows, rowCount } = await database.query<Row>(sql, values);
  if (rowCount === 0) throw new LeaseLost(`run ${String(values[0])} was taken over`);
  return rows;
}

/** Runs of which it is time to look at, and that nobody holds: their worker was killed, their job lost, or they waited. */
export async function findDueRuns(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT id FROM runs
      WHERE finished_at IS NULL AND look_at <= now() AND (lease_until IS NULL OR lease_until < now())
      ORDER BY look_at LIMIT 100`,
  );
  return rows.map(({ id }) => id);
}

export async function findRun(id: string, database: Queryable): Promise<Run | undefined> {
  const { rows } = await database.query<RunRow>(`SELECT ${runColumns} FROM runs WHERE id = $1`, [
    id,
  ]);
  return rows[0] === undefined ? undefined : toRun(rows[0]);
}

function json(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
