import { findApproval } from "../approval/answer.ts";
import { countOpenEpisodes } from "../episode.ts";
import { LeaseLost } from "../ledger.ts";
import type { Run } from "../types/run.ts";
import { ending, move, secondsBetween, type Progress, type RunDeps } from "./step.ts";

/** approval_pending → expired or resolved_before_action; an answer itself comes by answerApproval() */
export async function awaitAnswer(run: Run, deps: RunDeps): Promise<Progress> {
  const approval = await findApproval(run.id, deps.database);
  const resolved = (await countOpenEpisodes(run.id, deps.database)) === 0;
  const expired = approval === undefined || approval.expiresAt <= run.now;
  if (!resolved && !expired)
    return { kind: "waiting", lookAfterSeconds: secondsBetween(run.now, approval.expiresAt) };
  const [state, why] = resolved
    ? (["resolved_before_action", "the alert resolved while the approval was pending"] as const)
    : (["expired", "nobody answered in time"] as const);
  return move(run, deps, async (tx) => {
    const closed = await deps.approvals.close(tx, run.id, resolved ? "cancelled" : "expired");
    if (!closed) throw new LeaseLost(`run ${run.id} was answered meanwhile`);
    return ending(state, why);
  });
}
