import { failpoint } from "../../lib/failpoint.ts";
import { ClusterError, type Run } from "../types.ts";
import { authorityObjection } from "../authority.ts";
import { finish, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** intent → verifying, or an end. The call may be repeated after a crash: the plan's fixed values make it one effect. */
export async function execute(run: Run, deps: RunDeps): Promise<Progress> {
  const plan = planOf(run);
  const objection =
    run.now > run.deadlineAt
      ? "the deadline passed before the cluster answered"
      : await authorityObjection(run, plan, deps);
  // An earlier call, before a crash or without an answer, may have arrived: it is not "nothing happened".
  if (objection !== undefined) {
    return finish(
      run,
      deps,
      "unknown",
      `${objection}; an earlier call may have arrived: a person must look`,
    );
  }
  await failpoint("before-cluster-call");
  try {
    const effect = await deps.actions[plan.action].apply(plan, run.id, deps.cluster);
    await failpoint("after-cluster-call");
    if (effect.kind === "stale") return await finish(run, deps, "plan_stale", effect.why);
    if (effect.kind === "checked") {
      return await finish(
        run,
        deps,
        "skipped_dry_run",
        "the cluster would accept it; nothing was changed (dry-run)",
      );
    }
    const detail = { plan, already_done: effect.already };
    return await move(run, deps, {
      state: "verifying",
      audit: [{ event: "executed", actor: "fettle", detail }],
    });
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    // The call may have arrived all the same: the next try finds out, as long as the deadline lets it.
    if (error.retryable) throw error;
    return finish(run, deps, "failed", error.message);
  }
}
