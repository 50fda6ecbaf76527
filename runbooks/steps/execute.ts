import { failpoint } from "../../lib/failpoint.ts";
import { ClusterError, type Run } from "../types.ts";
import { finish, move, planOf, type Progress, type RunDeps } from "./step.ts";

/** intent → verifying, or an end. The call may be repeated after a crash: the plan's fixed values make it one effect. */
export async function execute(run: Run, deps: RunDeps): Promise<Progress> {
  const plan = planOf(run);
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
    const late = new Date() > run.deadlineAt;
    if (error.retryable && !late) throw error;
    // Retryable means that the call may have arrived: nobody can say, so a person must look.
    return finish(run, deps, error.retryable ? "unknown" : "failed", error.message);
  }
}
