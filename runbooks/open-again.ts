import { newId } from "../lib/id.ts";
import type { Queryable } from "../lib/postgres.ts";
import { appendAudit } from "./audit.ts";
import { JOB_GRACE } from "./ledger.ts";
import { lockNames } from "./lock-names.ts";
import type { Enqueue } from "./types/intake.ts";
import type { RunState } from "./types/run.ts";

/** A run that has ended, as its record names it. */
export interface EndedRun {
  readonly id: string;
  readonly state: RunState;
  readonly namespace: string;
  readonly app: string;
  readonly targetKey: string;
  readonly over: boolean;
}

/** Who asks for a run, and how. */
interface Asker {
  readonly person: string;
  /** Undefined: as the old one. */
  readonly dryRun?: boolean;
  readonly via: "cli" | "page" | "slack";
}

/** Takes a run's row; undefined when there is none. */
export async function lockRun(tx: Queryable, runId: string): Promise<EndedRun | undefined> {
  const { rows } = await tx.query<EndedRun>(
    `SELECT id, state, namespace, app, target_key AS "targetKey", finished_at IS NOT NULL AS over
       FROM runs WHERE id = $1 FOR UPDATE`,
    [runId],
  );
  return rows[0];
}

/** Takes the alerts that fire under a run, and then its row: in the order in which a delivery takes them. */
export async function lockRunAndAlerts(
  tx: Queryable,
  runId: string,
): Promise<EndedRun | undefined> {
  const { rows } = await tx.query<{ name: string }>(
    "SELECT source || ' ' || fingerprint AS name FROM episodes WHERE run_id = $1 AND resolved_at IS NULL",
    [runId],
  );
  await lockNames(
    tx,
    rows.map(({ name }) => name),
  );
  return lockRun(tx, runId);
}

/**
 * Opens a new run for the alerts of one that has ended, in a person's name: through the policy and the approval from the
 * start, with as much time as the old one had. Call it with {@link lockRunAndAlerts}' locks.
 *
 * @returns undefined when none of its alerts fires, or another run of the target is under way
 */
export async function openAgain(
  tx: Queryable,
  old: EndedRun,
  { person, dryRun, via }: Asker,
  enqueue: Enqueue,
): Promise<string | undefined> {
  const runId = newId("run");
  const { rowCount } = await tx.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, correlation_id, traceparent,
                       requested_by, retry_of, sources, look_at, dry_run)
     SELECT $2, target_key, runbook, 'matched', namespace, app, trigger, now() + (deadline_at - created_at), correlation_id,
            traceparent, $3, id, sources, now() + ${JOB_GRACE}, coalesce($4, dry_run)
       FROM runs WHERE id = $1 AND EXISTS (SELECT 1 FROM episodes WHERE run_id = $1 AND resolved_at IS NULL)
     ON CONFLICT (target_key, runbook) WHERE finished_at IS NULL DO NOTHING`,
    [old.id, runId, person, dryRun ?? null],
  );
  if (rowCount === 0) return undefined;
  await tx.query("UPDATE episodes SET run_id = $2 WHERE run_id = $1 AND resolved_at IS NULL", [
    old.id,
    runId,
  ]);
  const { namespace, app, targetKey } = old;
  const how = { via, ...(dryRun === true ? { dry_run: true } : {}) };
  await appendAudit(tx, old, [{ event: "retried", actor: person, detail: { run: runId, ...how } }]);
  await appendAudit(tx, { id: runId, namespace, app, targetKey }, [
    { event: "request", actor: person, detail: { retry_of: old.id, ...how } },
  ]);
  await enqueue(tx, "runbooks-run", { runId });
  return runId;
}
