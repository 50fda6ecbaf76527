import type { Database, Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import {
  ACTIVE_STATES,
  type AuditEvent,
  type Plan,
  type Run,
  type RunState,
  type Trigger,
} from "./types.ts";

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
  /** One sentence for people, when the run ends. */
  readonly outcome?: string;
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
      RETURNING ${COLUMNS}`,
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

/** Gives the run back, for whoever is next. Does nothing when it has been taken over already. */
export async function releaseLease(run: Run, database: Queryable): Promise<void> {
  await database.query("UPDATE runs SET lease_until = NULL WHERE id = $1 AND lease_token = $2", [
    run.id,
    run.leaseToken,
  ]);
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

async function setState(
  tx: Queryable,
  run: Run,
  { state, plan, planHash, decision, outcome }: Step,
): Promise<Run> {
  const ends = !(ACTIVE_STATES as readonly string[]).includes(state);
  const rows = await fenced<RunRow>(
    tx,
    `UPDATE runs SET state = $3, plan = coalesce($4, plan), plan_hash = coalesce($5, plan_hash),
            decision = coalesce($6, decision), outcome = coalesce($7, outcome), updated_at = now(),
            finished_at = CASE WHEN $8 THEN now() END
      WHERE id = $1 AND lease_token = $2 AND state = $9
      RETURNING ${COLUMNS}`,
    [
      run.id,
      run.leaseToken,
      state,
      json(plan),
      planHash ?? null,
      json(decision),
      outcome ?? null,
      ends,
      run.state,
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

/**
 * Runs that somebody should look at now: one that verifies, one whose approval has expired or whose alerts have all
 * resolved, and one that should go on although nobody holds it (its worker was killed, or its job was lost).
 */
export async function findDueRuns(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT id FROM runs
      WHERE finished_at IS NULL AND (lease_until IS NULL OR lease_until < now())
        AND CASE state
              WHEN 'verifying' THEN true
              WHEN 'approval_pending' THEN
                NOT EXISTS (SELECT 1 FROM approvals WHERE run_id = runs.id AND state = 'pending' AND expires_at > now())
                OR NOT EXISTS (SELECT 1 FROM episodes WHERE run_id = runs.id AND resolved_at IS NULL)
              ELSE updated_at < now() - interval '5 seconds'
            END
      ORDER BY updated_at LIMIT 100`,
  );
  return rows.map(({ id }) => id);
}

export async function findRun(id: string, database: Queryable): Promise<Run | undefined> {
  const { rows } = await database.query<RunRow>(`SELECT ${COLUMNS} FROM runs WHERE id = $1`, [id]);
  return rows[0] === undefined ? undefined : toRun(rows[0]);
}

const COLUMNS = `id, target_key, runbook, state, namespace, app, trigger, plan, plan_hash, lease_token, deadline_at,
  updated_at, correlation_id, traceparent, created_at, now() AS now`;

interface RunRow {
  readonly id: string;
  readonly target_key: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly namespace: string;
  readonly app: string;
  readonly trigger: Trigger;
  readonly plan: Plan | null;
  readonly plan_hash: string | null;
  readonly lease_token: string;
  readonly deadline_at: Date;
  readonly updated_at: Date;
  readonly now: Date;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
  readonly created_at: Date;
}

function toRun(row: RunRow): Run {
  return {
    id: row.id,
    targetKey: row.target_key,
    runbook: row.runbook,
    state: row.state,
    namespace: row.namespace,
    app: row.app,
    trigger: row.trigger,
    plan: row.plan ?? undefined,
    planHash: row.plan_hash ?? undefined,
    leaseToken: row.lease_token,
    deadlineAt: row.deadline_at,
    stateSince: row.updated_at,
    now: row.now,
    correlationId: row.correlation_id ?? undefined,
    traceparent: row.traceparent ?? undefined,
    createdAt: row.created_at,
  };
}

function json(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
