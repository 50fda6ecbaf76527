import { countOpenEpisodes } from "../episode.ts";
import { authorityObjection } from "../authority.ts";
import type { Run } from "../types/run.ts";
import { appKeyOf } from "../types/target.ts";
import type { Health } from "../types/verify.ts";
import { ending, finish, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** approved → intent, with the breaker's slot, or an end without an action */
export async function recheckAndGuard(run: Run, deps: RunDeps): Promise<Progress> {
  const plan = planOf(run);
  if (run.now > run.deadlineAt)
    return finish(run, deps, "expired", "the run's deadline passed before the action");
  if ((await countOpenEpisodes(run.id, deps.database)) === 0) {
    return finish(run, deps, "resolved_before_action", "the alert resolved before the action");
  }
  const objection = await authorityObjection(run, plan, deps);
  if (objection !== undefined) return finish(run, deps, "skipped_no_approval", objection);
  // An alert resolves minutes after its metric is well: who acts on the old news restarts what works.
  const { kind, text } = await recheck(run, deps);
  if (kind === "healthy")
    return finish(run, deps, "resolved_before_action", `${text} again: there is nothing to do`);
  return move(run, deps, async (tx) => {
    if (!plan.dryRun) {
      const keys = { target: run.targetKey, app: appKeyOf(plan.target) };
      const slot = await deps.guard.take({ ...keys, runId: run.id }, tx);
      if (!slot.taken) return ending("skipped_circuit", slot.why);
    }
    return {
      state: "intent",
      audit: [{ event: "intent", actor: "fettle", detail: { plan_hash: run.planHash } }],
    };
  });
}

/** What the metric says now, unless the policy's rule says `recheck=off`. Only "healthy" is a reason not to act. */
async function recheck(run: Run, { verifier }: RunDeps): Promise<Health> {
  if (run.rule?.options.recheck === false) return { kind: "not asked", text: "recheck=off" };
  return verifier.healthy(run);
}
