import { countOpenEpisodes } from "../episode.ts";
import { takeSlot } from "../guard.ts";
import type { Run } from "../types.ts";
import { authorityObjection } from "../authority.ts";
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
  return move(run, deps, async (tx) => {
    if (!plan.dryRun) {
      const { limits } = deps.switches;
      const slot = await takeSlot({ appKey: run.targetKey, runId: run.id, limits }, tx);
      if (!slot.taken) return ending("skipped_circuit", slot.why);
      await deps.breakerView?.taken(run.targetKey, run.id);
    }
    return {
      state: "intent",
      audit: [{ event: "intent", actor: "fettle", detail: { plan_hash: run.planHash } }],
    };
  });
}
