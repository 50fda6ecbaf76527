import { newId } from "../../lib/id.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { appendAudit } from "../audit.ts";
import { JOB_GRACE } from "../ledger.ts";
import type { Approval, AnswerDeps } from "./answer.ts";
import { rightOf } from "./authorize.ts";

/** Ends after which the same question may be put anew: nobody has said no, and nothing was done. */
const ASKABLE = ["plan_stale", "expired"];

/**
 * Starts a new run for the alerts of one that ended without an answer, in the name of the person who asks for it; that
 * person cannot answer it.
 *
 * @returns what to tell that person
 */
export async function askAgain(
  { runId, ruleApprovers }: Approval,
  account: string,
  deps: AnswerDeps & { readonly approvers: readonly string[] },
): Promise<string> {
  const list = { allowed: ruleApprovers ?? deps.approvers, known: deps.approvers };
  const right = await rightOf(account, list, deps.groups);
  if (right.kind === "may_not") return `You may not ask again: ${right.why}.`;
  return deps.database.inTransaction(async (tx) => {
    const old = await lockRun(tx, runId);
    if (!ASKABLE.includes(old.state)) return `Run ${runId} is ${old.state}: it is not asked again.`;
    const newRunId = await openRun(tx, runId, right.person);
    if (newRunId === undefined)
      return "Nothing was started: the alert has resolved, or another run of this target is under way.";
    await appendAudit(tx, old, [
      { event: "retried", actor: right.person, detail: { run: newRunId } },
    ]);
    await appendAudit(tx, { ...old, id: newRunId, plan: undefined }, [
      { event: "request", actor: right.person, detail: { retry_of: runId } },
    ]);
    await deps.enqueue(tx, "runbooks-run", { runId: newRunId });
    return `Asked again as ${newRunId}. Somebody else has to answer it.`;
  });
}

async function lockRun(tx: Queryable, runId: string) {
  const { rows } = await tx.query<{
    id: string;
    state: string;
    namespace: string;
    app: string;
    targetKey: string;
  }>(
    `SELECT id, state, namespace, app, target_key AS "targetKey" FROM runs WHERE id = $1 FOR UPDATE`,
    [runId],
  );
  const [run] = rows;
  if (run === undefined) throw new Error(`run ${runId} does not exist`);
  return run;
}

/** The new run has as much time as the old one had, and takes its open episodes over. */
async function openRun(tx: Queryable, runId: string, person: string): Promise<string | undefined> {
  const newRunId = newId("run");
  const { rowCount } = await tx.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, correlation_id, traceparent,
                       requested_by, retry_of, sources, look_at)
     SELECT $2, target_key, runbook, 'matched', namespace, app, trigger, now() + (deadline_at - created_at), correlation_id,
            traceparent, $3, id, sources, now() + ${JOB_GRACE}
       FROM runs WHERE id = $1 AND EXISTS (SELECT 1 FROM episodes WHERE run_id = $1 AND resolved_at IS NULL)
     ON CONFLICT (target_key, runbook) WHERE finished_at IS NULL DO NOTHING`,
    [runId, newRunId, person],
  );
  if (rowCount === 0) return undefined;
  await tx.query("UPDATE episodes SET run_id = $2 WHERE run_id = $1 AND resolved_at IS NULL", [
    runId,
    newRunId,
  ]);
  return newRunId;
}
