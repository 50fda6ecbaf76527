import { lockRunAndAlerts, openAgain } from "../open-again.ts";
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
    const old = await lockRunAndAlerts(tx, runId);
    if (old === undefined) throw new Error(`run ${runId} does not exist`);
    if (!ASKABLE.includes(old.state)) return `Run ${runId} is ${old.state}: it is not asked again.`;
    const newRunId = await openAgain(tx, old, { person: right.person, via: "slack" }, deps.enqueue);
    if (newRunId === undefined)
      return "Nothing was started: the alert has resolved, or another run of this target is under way.";
    return `Asked again as ${newRunId}. Somebody else has to answer it.`;
  });
}
